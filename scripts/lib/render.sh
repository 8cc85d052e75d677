# Turns templates into files: ${STACK_…} becomes the value of that variable.
# Sourced, never run. Needs die.
# shellcheck shell=sh

# Refuses values that would be more than a value where they land.
# usage: plain_values NAME...
plain_values() {
    text=''
    for name in "$@"; do
        eval "text=\${$name-}"
        case $text in
        *[\;{}\"\'\\\`\$\#]* | *'
'*) die "$name holds a character that cannot stand in a configuration file: $text" ;;
        esac
    done
}

# usage: render TEMPLATE FILE; a variable without a value stops it.
render() {
    awk '{
        line = $0
        done = ""
        while (match(line, /\$\{STACK_[A-Z_]+\}/)) {
            name = substr(line, RSTART + 2, RLENGTH - 3)
            if (!(name in ENVIRON)) {
                printf "%s: %s has no value\n", FILENAME, name > "/dev/stderr"
                exit 1
            }
            done = done substr(line, 1, RSTART - 1) ENVIRON[name]
            line = substr(line, RSTART + RLENGTH)
        }
        print done line
    }' "$1" >"$2.new" && mv -f "$2.new" "$2"
}

# Prints one line per word, each made by printf from FORMAT.
# usage: lines FORMAT WORD...
lines() {
    format=$1
    shift
    for word in "$@"; do
        # shellcheck disable=SC2059  # the format is ours
        printf "$format\n" "$word"
    done
}
