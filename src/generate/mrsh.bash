# Completion of mrsh in bash. The program itself says what can follow: see mrsh --generate in mrsh(1).

_mrsh() {
    COMPREPLY=()
    local program=${COMP_WORDS[0]/#\~/$HOME}
    type -P -- "$program" >/dev/null || program=mrsh

    # Readline splits words at = : and @, which mrsh does not. Words that touch each other are one.
    local rest=${COMP_LINE-} words=() starts=() i word bare glued
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        bare=${rest#"${rest%%[![:space:]]*}"}
        glued=
        if [[ -n $rest && $bare == "$word"* ]]; then
            [[ $bare == "$rest" ]] && glued=yes
            rest=${bare#"$word"}
        elif ((${#words[@]})); then
            local before=${words[-1]}
            case $word in
                =*) [[ $before == --* ]] && glued=yes ;;
                [:@]*) [[ $before != -* ]] && glued=yes ;;
                *) [[ $before == *[=:@] ]] && glued=yes ;;
            esac
        fi
        ((i == 0)) && continue
        word=${word//[\'\"\\]/}
        if [[ $glued && ${#words[@]} -gt 0 ]]; then
            words[-1]+=$word
        else
            words+=("$word")
            starts+=("$i")
        fi
    done

    # What readline replaces is the part of the word behind the last of these.
    local full=${words[-1]-} current=${2-${COMP_WORDS[COMP_CWORD]}}
    current=${current//[\'\"\\]/}
    [[ $current == *[!=:@]* ]] || current=
    local kept=${full%"$current"}
    [[ $kept$current == "$full" ]] || kept=

    local answer kind value
    mapfile -t answer < <("$program" --complete "${words[@]}" 2>/dev/null)
    IFS=$'\t' read -r kind value <<<"${answer[0]-}"
    case $kind in
        words)
            for word in "${answer[@]:1}"; do
                word=${word%%$'\t'*}
                COMPREPLY+=("${word#"$kept"}")
            done
            if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]]; then
                compopt -o nospace 2>/dev/null
            fi
            ;;
        files | directories)
            local flag=-f
            [[ $kind == directories ]] && flag=-d
            compopt -o filenames 2>/dev/null
            while IFS= read -r word; do
                word=$value$word
                COMPREPLY+=("${word#"$kept"}")
            done < <(compgen "$flag" -- "${full#"$value"}")
            ;;
        command)
            i=${starts[value]-$COMP_CWORD}
            if declare -F _comp_command_offset >/dev/null; then
                _comp_command_offset "$i"
            elif declare -F _command_offset >/dev/null; then
                _command_offset "$i"
            elif ((i == COMP_CWORD)); then
                mapfile -t COMPREPLY < <(compgen -c -- "$full")
            else
                compopt -o filenames 2>/dev/null
                mapfile -t COMPREPLY < <(compgen -f -- "$current")
            fi
            ;;
    esac
}

complete -F _mrsh mrsh
