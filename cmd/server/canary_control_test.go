package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
)

// forms are the ways in which a secret could leave unnoticed.
var forms = map[string]func(string) string{
	"raw":         func(s string) string { return s },
	"base64":      func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64 of ?": func(s string) string { return base64.StdEncoding.EncodeToString([]byte("?" + s)) },
	"basic":       func(s string) string { return base64.StdEncoding.EncodeToString([]byte("id:" + s)) },
	"base64url":   func(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) },
	"base64url 1": func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte("\xff" + s)) },
	"base64url 2": func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte("\xff\xfe" + s)) },
	"hex":         func(s string) string { return hex.EncodeToString([]byte(s)) },
	"HEX":         func(s string) string { return fmt.Sprintf("%X", s) },
	"query":       url.QueryEscape,
	"path":        url.PathEscape,
	"every %":     func(s string) string { return each(s, "%%%02x") },
	"JSON":        func(s string) string { b, _ := json.Marshal(s); return string(b) },
	"JSON twice":  func(s string) string { b, _ := json.Marshal(s); b, _ = json.Marshal(string(b)); return string(b) },
	`every \u`:    func(s string) string { return each(s, `\u%04x`) },
	"HTML":        html.EscapeString,
	"every &#":    func(s string) string { return each(s, "&#%d;") },
	"every &#x":   func(s string) string { return each(s, "&#x%x;") },
	"%q":          func(s string) string { return fmt.Sprintf("%q", s) },
	"%v":          func(s string) string { return fmt.Sprint([]byte(s)) },
	"lower case":  strings.ToLower,
	"upper case":  strings.ToUpper,
	"words":       func(s string) string { return fmt.Sprintf("0x%s, 0x2a", word(s)) },
	"UTF-16": func(s string) string {
		var b []byte
		for _, u := range utf16.Encode([]rune(s)) {
			b = append(b, byte(u), byte(u>>8))
		}
		return string(b)
	},
	"gzip": func(s string) string { return compressed(s) },
	"gzip twice": func(s string) string {
		return compressed("\x1f\x8b\x08" + compressed("x"+hex.EncodeToString([]byte(s))))
	},
	"its start": func(s string) string { return s[:shortest] },
	"its end":   func(s string) string { return s[len(s)-shortest:] },
}

func compressed(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(s))
	_ = z.Close()
	return b.String()
}

// TestCanaryIsFound is the control of the search: what it does not find here,
// it would not find elsewhere.
func TestCanaryIsFound(t *testing.T) {
	c := newCanaries()
	for range 6 {
		secret := c.issue("secret")
		find := c.find()
		for name, form := range forms {
			for _, before := range []string{"", "a", "ab", "abc", `{"error":"`} {
				if leaks := find.in([]byte(before + form(secret) + " and so on")); len(leaks) == 0 {
					t.Errorf("%s: %q after %q is not found", name, form(secret), before)
				}
			}
		}
	}
	if leaks := c.find().in([]byte(strings.Repeat("nothing to be found here ", 100))); len(leaks) > 0 {
		t.Errorf("found %v in a text without secrets", leaks)
	}
}

// TestCanaryIsFoundEverywhere is the control of the places that are searched.
func TestCanaryIsFoundEverywhere(t *testing.T) {
	w := newWatch(t)
	secret := w.secrets.issue("planted")
	w.command(t, nil, "sh", "-c", `printf '%s' "$0"; sleep 0`, secret)
	w.mustFind(t, "stdout of sh")
	w.command(t, nil, "sh", "-c", `printf '%s' "$0" >&2`, secret)
	w.mustFind(t, "stderr of sh")
	w.command(t, []string{"PANIC=" + secret}, os.Args[0], "-test.run=^TestCanaryPanics$")
	w.mustFind(t, "stderr of "+os.Args[0])
	for _, name := range []string{"vault.db", "vault.db-wal", "vault.db-shm", "locks/07.lock", "a/b.tmp", "spill"} {
		dir := filepath.Join(t.TempDir(), "data")
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("\x00\x01"+hex.EncodeToString([]byte(secret))), 0o600); err != nil {
			t.Fatal(err)
		}
		w.folder(t, dir)
		w.mustFind(t, name)
	}
	w.folder(t, filepath.Dir(plantName(t, secret)))
	w.mustFind(t, "names in")
	cmd := exec.Command("sh", "-c", "read x; echo", secret)
	in, err := cmd.StdinPipe()
	if err != nil || cmd.Start() != nil {
		t.Fatal("starting sh")
	}
	w.commandLine(t, cmd.Process.Pid)
	_ = in.Close()
	_ = cmd.Wait() // it ends without a line, as it should
	if _, err := os.Stat("/proc/self/cmdline"); err == nil {
		w.mustFind(t, "command line")
	}
}

// plantName makes a file whose very name is a secret.
func plantName(t *testing.T, secret string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), hex.EncodeToString([]byte(secret)))
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCanaryPanics is run by TestCanaryIsFoundEverywhere in a process of its
// own, to show that a panic's text would be found.
func TestCanaryPanics(t *testing.T) {
	if text, set := os.LookupEnv("PANIC"); set {
		panic(text)
	}
	// By itself there is nothing to do: TestCanaryIsFoundEverywhere runs it.
}
