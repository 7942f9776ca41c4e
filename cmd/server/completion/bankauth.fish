# fish completion for bankauth: save as ~/.config/fish/completions/bankauth.fish
function __bankauth_complete
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    for line in (bankauth complete -- $words[2..-1] "$word" 2>/dev/null)
        if test "$line" = :files
            __fish_complete_path "$word"
        else
            echo $line
        end
    end
end
complete -c bankauth -f -a '(__bankauth_complete)'
