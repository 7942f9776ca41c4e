package config

import (
	"path/filepath"
	"slices"
	"strings"

	"bankauth/internal/fault"
)

// Environment is the environment as the settings see it: without white space
// around the values, and without those that are empty or a placeholder. The
// zero Environment has no variable.
type Environment struct {
	goos string
	// A closure, so that fmt cannot reach the secrets among the values.
	lookup       func(name string) (string, bool)
	names        []string // of the variables that were there at all, sorted
	placeholders []string // of those that hold a placeholder, sorted
}

// Read returns the environment that environ (NAME=value, as os.Environ gives
// it) describes on the platform goos (as runtime.GOOS says it). Where a name
// stands twice, the first counts.
func Read(environ []string, goos string) Environment {
	values, seen := map[string]string{}, map[string]bool{}
	e := Environment{goos: goos}
	for _, entry := range environ {
		name, value, ok := strings.Cut(entry, "=")
		if goos == "windows" {
			name = strings.ToUpper(name)
		}
		if !ok || name == "" || seen[name] {
			continue
		}
		seen[name] = true
		e.names = append(e.names, name)
		switch value = strings.TrimSpace(value); {
		case value == "":
		case IsPlaceholder(value):
			e.placeholders = append(e.placeholders, name)
		default:
			values[name] = value
		}
	}
	slices.Sort(e.names)
	slices.Sort(e.placeholders)
	e.lookup = func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}
	return e
}

// Lookup returns the value of the variable name, and whether it is set. For a
// variable that can hold a secret use Secret.
func (e Environment) Lookup(name string) (string, bool) {
	if e.lookup == nil {
		return "", false
	}
	return e.lookup(name)
}

// Has reports whether the variable name is set.
func (e Environment) Has(name string) bool {
	_, ok := e.Lookup(name)
	return ok
}

// Placeholders returns the settings' variables, those of the given providers
// included, that hold a placeholder; sorted.
func (e Environment) Placeholders(providers []string) []string {
	declared := Variables(providers)
	var held []string
	for _, name := range e.placeholders {
		if slices.Contains(declared, name) {
			held = append(held, name)
		}
	}
	return held
}

// Path returns path with a leading ~ replaced by the home folder, because hosts
// start servers without a shell, and made absolute. "" stays "".
func (e Environment) Path(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	if path == "~" || strings.HasPrefix(path, "~/") || strings.HasPrefix(path, `~\`) {
		home, ok := e.home()
		if !ok {
			return "", fault.New(fault.NotConfigured, "a path begins with ~, and the home folder is not known", "name the whole path")
		}
		path = filepath.Join(home, path[1:])
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fault.New(fault.NotConfigured, "a relative path was named, and the current folder is not known", "name the whole path").Because(err)
	}
	return abs, nil
}

func (e Environment) home() (string, bool) {
	if e.goos == "windows" {
		return e.Lookup("USERPROFILE")
	}
	return e.Lookup("HOME")
}

// DataDir returns the folder of the vault, absolute, and whether s names it;
// else it is the folder bankauth in the platform's state folder. It need not
// exist.
func (e Environment) DataDir(s Settings) (dir string, named bool, err error) {
	if s.DataDir != "" {
		dir, err = e.Path(s.DataDir)
		return dir, true, err
	}
	state, ok := e.stateDir()
	if !ok {
		return "", false, fault.New(fault.NotConfigured, "there is no folder to keep the vault in: the home folder is not known",
			"set BANKAUTH_DATA_DIR to a folder that only you can read")
	}
	return filepath.Join(state, "bankauth"), false, nil
}

func (e Environment) stateDir() (string, bool) {
	home, ok := e.home()
	switch e.goos {
	case "windows":
		if local, set := e.Lookup("LOCALAPPDATA"); set {
			return local, true
		}
		return filepath.Join(home, "AppData", "Local"), ok
	case "darwin", "ios":
		return filepath.Join(home, "Library", "Application Support"), ok
	}
	// The XDG specification: a relative path is to be ignored.
	if state, set := e.Lookup("XDG_STATE_HOME"); set && filepath.IsAbs(state) {
		return state, true
	}
	return filepath.Join(home, ".local", "state"), ok
}
