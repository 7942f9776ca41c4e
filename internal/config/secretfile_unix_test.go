//go:build unix

package config_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestSecretFileRefused(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "canary-pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		write(t, "canary", 0o640):                      "chmod 600",
		write(t, "canary", 0o604):                      "chmod 600",
		write(t, " \n", 0o600):                         "is empty",
		write(t, "${CANARY}", 0o600):                   "holds a placeholder",
		write(t, strings.Repeat("k", 64<<10+1), 0o600): "larger than 64 KiB",
		t.TempDir(): "not a regular file",
		pipe:        "not a regular file",
		filepath.Join(t.TempDir(), "canary-that-is-absent"): "cannot be found",
		"~/canary": "whole path",
	} {
		got, err := read("X_CLIENT_SECRET_FILE=" + path).Secret("X_CLIENT_SECRET")
		wantFault(t, err, want, "canary", "CANARY", path)
		wantFault(t, err, "X_CLIENT_SECRET_FILE")
		if !got.IsZero() {
			t.Errorf("%s: a refused file gave a secret", want)
		}
	}
	_, err := read("X_CLIENT_SECRET=canary", "X_CLIENT_SECRET_FILE=/canary").Provider("x")
	wantFault(t, err, "X_CLIENT_SECRET and X_CLIENT_SECRET_FILE are both set", "canary")
}
