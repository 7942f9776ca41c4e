package config

import (
	"io"
	"io/fs"
	"os"
	"strings"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
)

// fileLimit bounds a file that a …_FILE variable names, in bytes.
const fileLimit = 64 << 10

// Secret returns the value of the variable name, or what stands in the file
// that NAME_FILE names; the zero Value when neither is set. Both set, a file
// that cannot be used and one of ours that others may read are a fault.
func (e Environment) Secret(name string) (secret.Value, error) {
	text, err := e.text(name, true)
	return secret.New(text), err
}

// text is Secret for any setting that may stand in a file.
func (e Environment) text(name string, private bool) (string, error) {
	file := name + "_FILE"
	value, here := e.Lookup(name)
	path, there := e.Lookup(file)
	switch {
	case here && there:
		return "", fault.New(fault.NotConfigured, name+" and "+file+" are both set", "unset one of them")
	case !there:
		return value, nil
	}
	path, err := e.Path(path)
	if err != nil {
		return "", unusable(file, "cannot be found: its path begins with ~ or is relative", "name the whole path").Because(err)
	}
	return readFile(path, file, private)
}

// readFile reads what a value of the variable file names. The path itself is
// in no message: the variable says enough to whoever set it.
func readFile(path, file string, private bool) (string, error) {
	// Before the file is opened: opening a pipe would wait for a writer.
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", unusable(file, "cannot be found", "name a file that exists and that you may read, by its whole path").Because(err)
	case !info.Mode().IsRegular():
		return "", unusable(file, "is not a regular file", "name the file itself")
	case private && readableByOthers(info):
		return "", unusable(file, "can be read by other users", "run chmod 600 on that file")
	}
	f, err := os.Open(path)
	if err != nil {
		return "", unusable(file, "cannot be opened", "let the user that runs bankauth read it").Because(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, fileLimit+1))
	switch {
	case err != nil:
		return "", unusable(file, "cannot be read", "check the disk it lies on").Because(err)
	case len(b) > fileLimit:
		return "", unusable(file, "is larger than 64 KiB", "name a file that holds the value and nothing else")
	}
	// Editors on Windows begin a file with a byte order mark.
	text := strings.TrimSpace(strings.TrimPrefix(string(b), "\ufeff"))
	switch {
	case text == "":
		return "", unusable(file, "is empty", "put the value into it")
	case IsPlaceholder(text):
		return "", unusable(file, "holds a placeholder", "put the value itself into it")
	}
	return text, nil
}

func unusable(file, what, hint string) *fault.Fault {
	return fault.New(fault.NotConfigured, "the file that "+file+" names "+what, hint)
}

// readableByOthers follows OpenSSH: the mode of a file that belongs to another
// user (a secret mounted into a container) is not ours to change.
func readableByOthers(info fs.FileInfo) bool { return ownedByUs(info) && info.Mode().Perm()&0o077 != 0 }
