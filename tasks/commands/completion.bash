# Completion of doit for bash: . <(./doit tabcompletion bash)
# The answers are names of plain characters; nothing of them is run or expanded.
_airlock_complete() {
    local line=${COMP_LINE:0:COMP_POINT} command=${COMP_WORDS[0]} word lead
    COMPREPLY=()
    # ./doit makes its environment when it is first used, which isn't for a Tab to begin.
    [[ $command != */* || -x ${command%/*}/.venv/bin/doit ]] || return 0
    word=${line##* }
    lead=${word%"${word##*[:=]}"}  # bash takes what stands behind : or = for a word of its own
    while IFS= read -r word; do
        COMPREPLY+=("${word#"$lead"}")
    done < <(AIRLOCK_COMPLETE=$line "$command" complete 2>/dev/null)
    if [[ ${#COMPREPLY[@]} = 1 && ${COMPREPLY[0]} = *= ]]; then compopt -o nospace; fi
}
complete -o default -F _airlock_complete doit ./doit
