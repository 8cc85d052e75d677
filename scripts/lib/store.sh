# Which store is meant, and how its programs reach it: for scripts/backup and scripts/restore.
# Sourced, never run. Needs common.sh, install.sh, stack.sh and store-postgres.sh.
# shellcheck shell=sh disable=SC2034  # what is found is for the scripts that source it

# Reads the options into URL, DIR, KEEP and FILE, and finds ENGINE: sqlite, postgres or compose.
store_options() {
    URL='' DIR=$HERE/backups KEEP=14 FILE='' stack=no
    while [ $# -gt 0 ]; do
        case $1 in
        -h | --help) usage && exit 0 ;;
        --stack) stack=yes && shift ;;
        --url | --dir | --keep)
            [ $# -gt 1 ] || { warn "$1 needs a value; see --help" && exit 2; }
            case $1 in --url) URL=$2 ;; --dir) DIR=$2 ;; --keep) KEEP=$2 ;; esac
            shift 2
            ;;
        -*) warn "unknown option '$1'; see --help" && exit 2 ;;
        *) [ -z "$FILE" ] || { warn "one file at most; see --help" && exit 2; } && FILE=$1 && shift ;;
        esac
    done
    case $KEEP in '' | 0 | *[!0-9]*) warn "--keep needs a number from 1 on" && exit 2 ;; esac
    case $DIR in /*) ;; *) DIR=$HERE/$DIR ;; esac
    PATH=$PATH:$(postgres_bin)
    ENGINE=''
    if [ "$stack" = yes ] && [ "$(stack_mode)" = compose ]; then ENGINE=compose DB=portcullis && return; fi
    [ "$stack" = no ] || { stack_settings && URL=$(cat "$STACK_SECRETS/store-url") && BINARY=${STACK_BINARY:-$TARGET/debug/portcullis}; }
    [ -n "$URL" ] || URL=${PORTCULLIS_STORE_URL:-}
    [ -n "$URL" ] || [ -z "${PORTCULLIS_STORE_URL_FILE:-}" ] || URL=$(cat "$PORTCULLIS_STORE_URL_FILE")
    if [ -z "$URL" ]; then
        ! grep -qs '^ *\[store\]' "$HERE/portcullis.toml" || die "portcullis.toml names a store: give it with --url"
        URL=sqlite://portcullis-data/portcullis.db
    fi
    case $URL in
    sqlite:///*) ENGINE=sqlite ;;
    sqlite://*) ENGINE=sqlite URL=sqlite://$HERE/${URL#sqlite://} ;;
    postgres://* | postgresql://*) ENGINE=postgres && postgres_address ;;
    *) die "the store must begin with sqlite:// or postgres://" ;;
    esac
    BINARY=${BINARY:-${PORTCULLIS_BINARY:-$(command -v portcullis || say "$TARGET/debug/portcullis")}}
}

# Runs the binary on the store.
portcullis_store() {
    (unset PORTCULLIS_STORE_URL_FILE && export PORTCULLIS_STORE_URL="$URL" && cd "$HERE" && exec "$BINARY" "$@")
}
