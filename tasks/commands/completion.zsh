#compdef doit
# Completion of doit for zsh: . <(./doit tabcompletion zsh)
# The answers are names of plain characters; nothing of them is run or expanded.
_airlock_complete() {
    local command=$words[1]
    local -a answers values
    # ./doit makes its environment when it is first used, which isn't for a Tab to begin.
    [[ $command != */* || -x ${command:h}/.venv/bin/doit ]] || return 1
    answers=(${(f)"$(AIRLOCK_COMPLETE=$LBUFFER $command complete 2>/dev/null)"})
    (( $#answers )) || { _files; return; }
    values=(${(M)answers:#*=})
    answers=(${answers:#*=})
    compadd -a answers
    compadd -S '' -a values
}
compdef _airlock_complete doit
