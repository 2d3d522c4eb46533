#compdef mrsh
# Completion of mrsh in zsh. The program itself says what can follow: see mrsh --generate in mrsh(1).

_mrsh() {
    local program=${words[1]/#\~\//$HOME/} first kind value
    (( $+commands[$program] )) || [[ -x $program ]] || program=mrsh
    local -a given answer names shown
    given=("${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}")
    answer=("${(@f)$("$program" --complete "${given[@]}" 2>/dev/null)}")
    first=${answer[1]}
    kind=${first%%$'\t'*}
    value=${first#*$'\t'}
    case $kind in
        words)
            shift answer
            answer=("${(@)answer:#}")
            (( $#answer )) || return 1
            names=("${(@)answer%%$'\t'*}")
            if [[ ${answer[1]} == *$'\t'* ]]; then
                shown=("${(@)answer/$'\t'/  -- }")
                compadd -l -d shown -a names
            elif [[ ${names[1]} == *= ]]; then
                compadd -S '' -a names
            else
                compadd -a names
            fi
            ;;
        files | directories)
            [[ $first == *$'\t'?* ]] && compset -P "${(b)value}"
            if [[ $kind == files ]]; then _files; else _files -/; fi
            ;;
        command)
            shift $((value + 1)) words
            (( CURRENT -= value + 1 ))
            _normal -p mrsh
            ;;
        *) return 1 ;;
    esac
}

if [[ $funcstack[1] == _mrsh ]]; then
    _mrsh "$@"
else
    compdef _mrsh mrsh
fi
