# Reads the summary of the conformance suite and prints it as one line per leg.
# Fails unless every scored scenario passed, as many as the revision requires, and so did the
# unscored scenarios that we hold ourselves to. Variables: revision, expected.

BEGIN {
    held = "http-header-validation http-custom-header-server-validation json-schema-2020-12"
    if (revision != "2026-07-28") held = ""
}

# "✓ tools-list: 3 passed, 0 failed"
/^(✓|✗) [^ ]+: [0-9]+ passed, [0-9]+ failed/ {
    name = substr($2, 1, length($2) - 1)
    passed[name] = $3
    failed[name] = $5
}

# "  ✓ json-schema-2020-12 (pending)", below the head line
/^Not scored for / { tail = 1 }
tail && /^  (✓|✗) / { unscored[$2] = 1 }

END {
    for (name in passed) {
        if (name in unscored) {
            other_passed += passed[name]
            other_failed += failed[name]
            continue
        }
        scored++
        checks += passed[name]
        misses += failed[name]
        if (failed[name] == 0) complete++
        else print "  failed: " name ": " passed[name] " passed, " failed[name] " failed"
    }
    printf "conformance %s: %d/%d scored, %d checks passed, %d failed (unscored: %d passed, %d failed)\n",
        revision, complete, expected, checks, misses, other_passed, other_failed
    bad = complete != expected || scored != expected || misses != 0
    count = split(held, names, " ")
    for (i = 1; i <= count; i++) {
        name = names[i]
        printf "conformance %s: %d passed, %d failed\n", name, passed[name], failed[name]
        if (passed[name] == 0 || failed[name] != 0) bad = 1
    }
    exit bad
}
