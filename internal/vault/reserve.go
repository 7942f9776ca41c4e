package vault

import (
	"errors"
	"io/fs"
	"os"
	"sync"
)

// reserveSize is room for some hundred answers.
const reserveSize = 1 << 20

// reserve is a file that takes up room so that there is some when the disk is
// full: an answer that came must find a place. It is made before the first
// request is sent, and again once it was given up.
type reserve struct {
	path string
	mu   sync.Mutex
	held bool
}

// hold makes sure that the reserve is there. Without it nothing may be sent.
func (r *reserve) hold() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held {
		return nil
	}
	info, err := os.Stat(r.path)
	if err == nil && info.Size() >= reserveSize {
		r.held = true
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return unusable("the vault's reserve cannot be read", "give your user access to "+r.path, err)
	}
	if err := writeSynced(r.path, make([]byte, reserveSize)); err != nil {
		_ = os.Remove(r.path)
		return refuse("the disk has no room for the vault's reserve, without which nothing is sent",
			"free two megabytes where "+r.path+" lies and call again", err)
	}
	r.held = true
	return nil
}

// give gives the room up.
func (r *reserve) give() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = false
	_ = os.Remove(r.path)
}
