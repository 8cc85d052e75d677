# The checks of paths: what passes the front, and that nothing else does.
# Sourced, never run. Needs stack-test.sh.
# shellcheck shell=sh

server_logs() { cat "$STACK_HOME/log/authz.log" "$STACK_HOME/log/resource.log"; }
# How many requests the servers themselves have answered, as their logs say.
answered() { server_logs | grep -c '"portcullis::access"'; }

# None of these may reach a server: each is 400 or 404, and the servers' logs know of none.
path_tricks() {
    before=$(answered)
    sed 's/ *#.*//' tests/stack/path-tricks.txt | while IFS= read -r path; do
        [ -n "$path" ] || continue
        for method in GET POST; do
            found=$(ask http_code "$STACK_PUBLIC_URL$path" -X "$method" -H "Authorization: Bearer $TOKEN")
            case $found in 400 | 404) ;; *) say "$method $path: $found" && return 1 ;; esac
        done
    done || return 1
    # One that does pass, so that we know when the log is complete, and that it counts.
    answers 401 "$STACK_PUBLIC_URL/mcp" -H 'X-Correlation-ID: after-the-tricks' || return 1
    tries=0
    until server_logs | grep -q after-the-tricks; do
        tries=$((tries + 1))
        [ "$tries" -le 50 ] || return 1
        sleep 0.1
    done
    [ "$(answered)" -eq $((before + 1)) ] || { say "$(($(answered) - before - 1)) reached a server" && server_logs | tail -n 40 && return 1; }
}

# The control: the same request in its normal form passes, and a query may hold anything.
normal_paths() { answers 401 "$STACK_PUBLIC_URL/mcp?a=//..%2f;%6d" -X POST && answers 200 "$STACK_PUBLIC_URL/api/v1/tools" -H "Authorization: Bearer $TOKEN"; }

metrics_inside() {
    answers 404 "$STACK_PUBLIC_URL/metrics" && for port in "$STACK_AUTHZ_METRICS_PORT" "$STACK_RESOURCE_METRICS_PORT"; do
        answers 200 "http://127.0.0.1:$port/metrics" || return 1
    done
}

# What a page links to must pass as well as the page.
pages_are_whole() {
    for page in /docs /login /logout; do
        answers 200 "$STACK_PUBLIC_URL$page" || return 1
        grep -oE '(href|src|action)="/[^"#]*' "$WORK/body" | sed 's/.*"//' | sort -u >"$WORK/links"
        cat "$WORK/links" >>"$WORK/all-links"
        while read -r link; do
            found=$(ask http_code "$STACK_PUBLIC_URL$link")
            case $found in 404 | 5??) say "$page: $link: $found" && return 1 ;; esac
        done <"$WORK/links"
    done
    [ "$(wc -l <"$WORK/all-links")" -ge 3 ]
}
