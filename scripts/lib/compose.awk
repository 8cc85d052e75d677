# Reads docker-compose.yml in the form that this repository keeps it in: two spaces per level, `command` and
# `entrypoint` as a list on one line, `environment` as a map. Values are interpolated from the environment
# as compose does: ${NAME}, ${NAME-default}, ${NAME:-default}, ${NAME:?text}.
# usage: awk -v service=NAME -v what=environment|command|entrypoint|image|services -f compose.awk FILE
#
# environment prints NAME=value lines; command and entrypoint print one word per line.

function value_of(expression,    name, operator, rest, colon) {
    match(expression, /^[A-Za-z_][A-Za-z0-9_]*/)
    name = substr(expression, 1, RLENGTH)
    rest = substr(expression, RLENGTH + 1)
    colon = rest ~ /^:/
    if (colon) rest = substr(rest, 2)
    operator = substr(rest, 1, 1)
    if ((name in ENVIRON) && !(colon && ENVIRON[name] == "")) return ENVIRON[name]
    if (operator == "-") return substr(rest, 2)
    if (operator == "?") {
        printf "%s: %s must be set\n", FILENAME, name > "/dev/stderr"
        exit 1
    }
    return ""
}
function interpolate(text,    done, expression) {
    done = ""
    while (match(text, /\$\{[^}]*\}/)) {
        done = done substr(text, 1, RSTART - 1)
        expression = substr(text, RSTART + 2, RLENGTH - 3)
        text = substr(text, RSTART + RLENGTH)
        done = done value_of(expression)
    }
    return done text
}
# A scalar without its quotes; the escapes of YAML are not used in what we read.
function scalar(text) {
    gsub(/^[ ]+|[ ]+$/, "", text)
    sub(/^&[a-z-]+ +/, "", text)
    if (text ~ /^".*"$/) text = substr(text, 2, length(text) - 2)
    return interpolate(text)
}
# A flow list whose words are quoted and hold no quote themselves.
function words(text) {
    sub(/^[^\[]*\["/, "", text)
    sub(/"\][^\]]*$/, "", text)
    gsub(/", "/, "\n", text)
    print interpolate(text)
}

/^[a-z]/ { top = $1; current = "" }
/^[ ]*#/ || NF == 0 { next }
top == "services:" && /^  [a-z]/ {
    current = substr($1, 1, length($1) - 1)
    section = ""
    if (what == "services") print current
    next
}
current != service { next }
/^    [a-z]/ {
    section = substr($1, 1, length($1) - 1)
    rest = $0
    sub(/^ +[a-z_]+:/, "", rest)
    if (section == what && (what == "command" || what == "entrypoint")) words(rest)
    if (section == what && what == "image") print scalar(rest)
    next
}
section == "environment" && what == "environment" && /^      [A-Z]/ {
    name = substr($1, 1, length($1) - 1)
    rest = $0
    sub(/^ +[A-Za-z0-9_]+:/, "", rest)
    print name "=" scalar(rest)
}
