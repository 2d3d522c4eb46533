# Completion of mrsh in fish. The program itself says what can follow: see mrsh --generate in mrsh(1).

function __mrsh_complete
    set -l current (commandline -ct)
    set -l words (commandline -opc)
    set -l program (string replace -r '^~/' "$HOME/" -- $words[1])
    type -q -- $program; or set program mrsh
    set -e words[1]
    set -l bare (string replace -ra '[\'"\\\\]' '' -- "$current")
    set -l answer ($program --complete $words "$bare" 2>/dev/null)
    set -l first (string split -m 1 \t -- "$answer[1]")
    switch "$first[1]"
        case words
            printf '%s\n' $answer[2..-1]
        case files directories
            set -l start "$first[2]"
            set -l path (string sub -s (math 1 + (string length -- "$start")) -- "$bare")
            set -l found (__fish_complete_path "$path")
            if test "$first[1]" = directories
                set found (__fish_complete_directories "$path")
            end
            for each in $found
                printf '%s\n' "$start$each"
            end
        case command
            set -l from (math 1 + $first[2])
            set -l line
            if test $from -le (count $words)
                set line (string escape -- $words[$from..-1])
            end
            complete -C (string join ' ' -- $line "$current")
    end
end

complete -c mrsh -e
complete -c mrsh -f -a '(__mrsh_complete)'
