package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const kong = "github.com/alecthomas/kong"

// edits are what a release changes in kong, file by file, old text and new.
//
// kong looks the methods of a command up (Run, AfterApply, …) by names that it
// holds in a variable. A linker that cannot see which methods are asked for
// keeps every exported method of every type, kong's and everybody's: more than
// a fifth of the binary. These edits say the names. They change nothing that
// we use; kong's Provide… methods, which we have none of, are no longer found.
var edits = map[string][]string{
	"callbacks.go": {
		"value.MethodByName(name)", "methodOf(value, name)",
		"value.Addr().MethodByName(name)", "methodOf(value.Addr(), name)",
		"t.MethodByName(name)", "methodOfType(t, name)",
		"func getMethod(", lookup("methodOf", "v reflect.Value", "reflect.Value", "reflect.Value{}") +
			lookup("methodOfType", "v reflect.Type", "(reflect.Method, bool)", "reflect.Method{}, false") + "func getMethod(",
	},
	"context.go": {
		"i < p.NumMethod()", "i < 0",
		"t.Method(i)", "reflect.Method{}",
		"p.Method(i)", "reflect.Value{}",
	},
}

// lookup is a function that asks for each of kong's hooks by its name.
func lookup(name, argument, result, none string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "func %s(%s, name string) %s {\n\tswitch name {\n", name, argument, result)
	for _, hook := range []string{"Run", "BeforeReset", "BeforeResolve", "BeforeApply", "AfterApply", "AfterRun"} {
		fmt.Fprintf(&b, "\tcase %q:\n\t\treturn v.MethodByName(%[1]q)\n", hook)
	}
	fmt.Fprintf(&b, "\t}\n\treturn %s\n}\n\n", none)
	return b.String()
}

// Where a release build finds the edited kong and the go.mod that points at
// it; git ignores the folder.
const (
	edited     = "build/release"
	editedMod  = edited + "/go.mod"
	editedKong = edited + "/kong"
)

// prepare writes both. What is there already and the same is left alone, so
// that builds may run beside each other.
func prepare() error {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", kong).Output()
	if err != nil {
		return fmt.Errorf("looking for kong's source: %w", err)
	}
	source := os.DirFS(strings.TrimSpace(string(out)))
	names, err := fs.Glob(source, "*")
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || !strings.HasSuffix(name, ".go") && name != "go.mod" && name != "COPYING" {
			continue
		}
		text, err := fs.ReadFile(source, name)
		if err != nil {
			return err
		}
		if text, err = edit(name, text); err != nil {
			return err
		}
		if err := renew(filepath.Join(editedKong, name), text); err != nil {
			return err
		}
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if name == "go.mod" {
			text = append(text, "\nreplace "+kong+" => ./"+editedKong+"\n"...)
		}
		if err := renew(filepath.Join(edited, name), text); err != nil {
			return err
		}
	}
	return nil
}

func edit(name string, text []byte) ([]byte, error) {
	for pairs := edits[name]; len(pairs) > 0; pairs = pairs[2:] {
		if !bytes.Contains(text, []byte(pairs[0])) {
			return nil, fmt.Errorf("kong has changed: its %s has no %q; see whether the edits are needed still", name, pairs[0])
		}
		text = bytes.ReplaceAll(text, []byte(pairs[0]), []byte(pairs[1]))
	}
	return text, nil
}

// renew writes a file where it is not the same already, whole or not at all.
func renew(path string, text []byte) error {
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, text) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
