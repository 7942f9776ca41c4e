package vault

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/zalando/go-keyring"
)

const (
	keyringService = "bankauth"
	keyringWait    = 2 * time.Second
)

var errNoKeyring = errors.New("no keyring answers")

// keyringGet asks the OS keyring. Its library takes no context: a call that
// hangs is left behind after keyringWait, and ends when the keyring does.
func keyringGet(account string) (string, error) {
	if !keyringLikely() {
		return "", errNoKeyring
	}
	type answer struct {
		text string
		err  error
	}
	c := make(chan answer, 1)
	go func() {
		text, err := keyring.Get(keyringService, account)
		c <- answer{text, err}
	}()
	t := time.NewTimer(keyringWait)
	defer t.Stop()
	select {
	case a := <-c:
		return a.text, a.err
	case <-t.C:
		return "", errNoKeyring
	}
}

// keyringKeeps stores text and reads it back; a keyring that loses what it was
// given is none.
func keyringKeeps(account, text string) bool {
	if !keyringLikely() {
		return false
	}
	c := make(chan bool, 1)
	go func() { c <- keyring.Set(keyringService, account, text) == nil }()
	t := time.NewTimer(keyringWait)
	defer t.Stop()
	select {
	case ok := <-c:
		if !ok {
			return false
		}
	case <-t.C:
		return false
	}
	got, err := keyringGet(account)
	return err == nil && got == text
}

// keyringDrop forgets account, if the keyring is quick about it.
func keyringDrop(account string) {
	c := make(chan struct{})
	go func() { _ = keyring.Delete(keyringService, account); close(c) }()
	t := time.NewTimer(keyringWait)
	defer t.Stop()
	select {
	case <-c:
	case <-t.C:
	}
}

// keyringLikely spares a machine without a session bus the library's attempt
// to start one: it runs dbus-launch, which stays behind.
func keyringLikely() bool {
	switch runtime.GOOS {
	case "darwin", "windows":
		return true
	}
	if os.Getenv("DBUS_SESSION_BUS_ADDRESS") != "" {
		return true
	}
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		return false
	}
	_, err := os.Stat(filepath.Join(dir, "bus"))
	return err == nil
}
