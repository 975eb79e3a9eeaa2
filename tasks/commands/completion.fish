# Completion of doit for fish: ./doit tabcompletion fish | source
# The answers are names of plain characters; nothing of them is run or expanded.
function __airlock_complete
    set -l words (commandline -opc)
    # ./doit makes its environment when it is first used, which isn't for a Tab to begin.
    if string match -q '*/*' -- $words[1]
        test -x (dirname -- $words[1])/.venv/bin/doit; or return
    end
    env AIRLOCK_COMPLETE=(commandline -cp | string collect) $words[1] complete 2>/dev/null
end
complete -c doit -f -a '(__airlock_complete)'
