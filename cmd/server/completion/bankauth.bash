# bash completion for bankauth: source <(bankauth completion bash)
_bankauth() {
  local line IFS=$'\n'
  local word=${COMP_WORDS[COMP_CWORD]}
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ $line == :files ]]; then
      compopt -o filenames 2>/dev/null
      COMPREPLY+=($(compgen -f -- "${word#=}"))
    else
      COMPREPLY+=("${line%%$'\t'*}")
    fi
  done < <(bankauth complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _bankauth bankauth
