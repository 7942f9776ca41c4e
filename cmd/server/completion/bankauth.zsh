#compdef bankauth
# zsh completion for bankauth: save as _bankauth in a folder of $fpath.
_bankauth() {
  local line files
  local -a found
  while IFS= read -r line; do
    if [[ $line == :files ]]; then
      files=1
    elif [[ $line == *$'\t'* ]]; then
      found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    else
      found+=("${line//:/\\:}")
    fi
  done < <(bankauth complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
  (( $#found )) && _describe bankauth found
  [[ -n $files ]] && { [[ $PREFIX == --*=* ]] && compset -P 1 '*='; _files }
}
if [[ $funcstack[1] == _bankauth ]]; then
  _bankauth "$@"
else
  compdef _bankauth bankauth
fi
