# Makes or takes the secrets of the stack.
# Sourced, never run. Needs die.
# shellcheck shell=sh

# In a container this runs as root and hands over; elsewhere everything belongs to who runs it.
give() {
    owner=$1
    shift
    [ -z "$owner" ] || chown -R "$owner" "$@"
}

# A secret is made once; a given one is taken as it is.
# usage: secret NAME OWNER [FORM]
secret() {
    file=$STACK_SECRETS/$1
    if [ -n "${STACK_GIVEN:-}" ]; then
        [ -s "$STACK_GIVEN/$1" ] || die "$STACK_GIVEN/$1 is missing"
        cp "$STACK_GIVEN/$1" "$file"
    fi
    [ -s "$file" ] || openssl rand "${3:--hex}" 32 >"$file"
    [ "$(wc -c <"$file")" -ge 24 ] || die "$1 has fewer than 24 characters: make it with: openssl rand ${3:--hex} 32"
    give "$2" "$file"
}
