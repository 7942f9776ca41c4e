package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// requires skips the test where a program is absent; under CI it fails.
func requires(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("there is no %s on the PATH", program)
	}
	t.Skipf("there is no %s on the PATH", program)
}

// says runs a command in a folder of its own and returns what it prints.
func says(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	home := t.TempDir()
	cmd.Dir, cmd.Env = home, []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "TERM=vt100", "GOCOVERDIR=" + t.TempDir()}
	for _, file := range []string{"notes-one.txt", "notes-two.txt"} {
		if err := os.WriteFile(filepath.Join(home, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %q: %v\n%s%s", name, args, err, out.Bytes(), errs.Bytes())
	}
	return out.String() + errs.String()
}

// presses are command lines that end where the user presses the key, and
// what a shell must then offer and must not.
var presses = []struct{ line, want, not string }{
	{"bankauth to", `\btokens\b`, `stdio`},
	{"bankauth tokens ", `\blist\b[\s\S]*\bshow\b`, `stdio`},
	{"bankauth config claude-d", `\bclaude-desktop\b`, `cursor`},
	{"bankauth stdio --exp", `--expose\b`, `--simulate`},
	{"bankauth stdio --expose h", `\bhandle\b`, `full`},
	{"bankauth stdio --expose=t", `\btoken\b`, `full`},
	{"bankauth stdio --data-dir not", `notes-one\.txt[\s\S]*notes-two\.txt`, `handle`},
	{"bankauth call create_u", `\bcreate_user\b`, `create_access`},
	{"bankauth tokens show not", ``, `notes`},
}

func TestBashCompletes(t *testing.T) {
	requires(t, "bash")
	// As readline fills the variables: it takes words apart at an equals sign.
	const ask = `source <(bankauth completion bash) || exit 1
words=$1; COMP_WORDS=(${words//=/ = }); [[ $1 == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _bankauth; printf '%s\n' "${COMPREPLY[@]}"; complete -p bankauth`
	for _, c := range presses {
		offers(t, c.line, says(t, "", "bash", "--norc", "-c", ask, "bash", c.line), c.want, c.not)
	}
}

func TestFishCompletes(t *testing.T) {
	requires(t, "fish")
	for _, c := range presses {
		offers(t, c.line, says(t, "", "fish", "--no-config", "-c", "bankauth completion fish | source; complete -C $argv[1]", c.line), c.want, c.not)
	}
}

// TestZshCompletes types at a zsh of its own, which fills in the one that fits
// or lists the choices.
func TestZshCompletes(t *testing.T) {
	requires(t, "zsh")
	const ask = `zmodload zsh/zpty
zpty -b z zsh -f -i
hear() { local all part; repeat 600; do sleep 0.05; while zpty -rt z part; do all+=$part; done; [[ $all == *$1* ]] && break; done; print -r -- $all; }
zpty -w z 'PS1=; setopt no_list_ambiguous; autoload -Uz compinit && compinit -u -D; source <(bankauth completion zsh); print RE"AD"Y'
hear READY >/dev/null
zpty -w z "$1"$'\t\C-aprint DO"N"E: '
hear DONE
zpty -d z`
	control := regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08]`) // what moves and colours
	for _, c := range presses {
		t.Run(c.line, func(t *testing.T) {
			t.Parallel()
			offers(t, c.line, control.ReplaceAllString(says(t, "", "zsh", "-f", "-c", ask, "zsh", c.line), ""), c.want, c.not)
		})
	}
}

func offers(t *testing.T, line, said, want, not string) {
	t.Helper()
	if !regexp.MustCompile(want).MatchString(said) || strings.Contains(said, not) {
		t.Errorf("%q is offered %q, want %s and not %s", line, said, want, not)
	}
}

// TestManPage has the page checked by mandoc and read by man.
func TestManPage(t *testing.T) {
	requires(t, "mandoc")
	page := says(t, "", "bankauth", "man")
	for line := range strings.Lines(says(t, page, "sh", "-c", "mandoc -Tlint -W warning || true")) {
		if !strings.Contains(line, "missing date") { // a build without a stamp has none
			t.Error(line)
		}
	}
	read := says(t, page, "sh", "-c", "mandoc -Tutf8 | col -b")
	for _, want := range []string{"bankauth stdio", "bankauth tokens show", "BANKAUTH_VAULT_KEY_FILE", "--explain", "EXIT STATUS"} {
		if !strings.Contains(read, want) {
			t.Errorf("the page does not say %s", want)
		}
	}
}
