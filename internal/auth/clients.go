package auth

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
)

// TokenPrefix begins every static token, so that scanners for leaked secrets
// can know one.
const TokenPrefix = "bka_"

// tokenBytes is how much chance is in a token: enough that its plain hash
// tells nothing.
const tokenBytes = 32

var tokenEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Client is somebody who calls with a static token.
type Client struct {
	Name    string    `json:"name"`
	Scopes  []string  `json:"scopes"`
	Created time.Time `json:"created"`
}

// Clients is a file of clients, kept with the hashes of their tokens. It is
// read again whenever it has changed. It is safe for concurrent use, also by
// several processes.
type Clients struct {
	path string
	now  func() time.Time
	rand io.Reader

	mu    sync.Mutex
	info  fs.FileInfo // of the file as it was read; nil before
	known []keptClient
	err   error
	seen  bool // the file was there once
}

// keptClient is a client as the file has it.
type keptClient struct {
	Client
	SHA256 string `json:"sha256"` // of the token, in hex

	digest [sha256.Size]byte
}

type clientsFile struct {
	Version int          `json:"version"`
	Clients []keptClient `json:"clients"`
}

const clientsVersion = 1

// NewClients returns the clients of the file at path, which need not exist.
func NewClients(path string) *Clients {
	return &Clients{path: path, now: time.Now, rand: rand.Reader}
}

// Path returns where the file is.
func (c *Clients) Path() string { return c.path }

var clientName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`) })

// Add adds a client and returns its token, which is not kept. No scopes means
// all of them.
func (c *Clients) Add(ctx context.Context, name string, scopes []string) (secret.Value, error) {
	if !clientName().MatchString(name) {
		return secret.Value{}, fault.New(fault.InvalidArgument, "the client's name does not fit",
			"use 1 to 64 letters, digits, dots, hyphens and underscores, beginning with a letter or a digit")
	}
	scopes, err := checked(scopes)
	if err != nil {
		return secret.Value{}, err
	}
	var b [tokenBytes]byte
	if _, err := io.ReadFull(c.rand, b[:]); err != nil {
		return secret.Value{}, fmt.Errorf("drawing a token: %w", err)
	}
	text := TokenPrefix + tokenEncoding.EncodeToString(b[:])
	sum := sha256.Sum256([]byte(text))
	added := keptClient{Client: Client{Name: name, Scopes: scopes, Created: c.now().UTC().Truncate(time.Second)}, SHA256: hex.EncodeToString(sum[:])}
	err = c.change(ctx, func(all []keptClient) ([]keptClient, error) {
		if slices.ContainsFunc(all, func(k keptClient) bool { return k.Name == name }) {
			return nil, fault.New(fault.Conflict, "there is a client of this name already",
				"choose another name, or remove it first with bankauth clients remove")
		}
		return append(all, added), nil
	})
	if err != nil {
		return secret.Value{}, err
	}
	return secret.New(text), nil
}

func checked(scopes []string) ([]string, error) {
	if len(scopes) == 0 {
		return Scopes(), nil
	}
	var kept []string
	for _, s := range Scopes() { // each once, in our order
		if slices.Contains(scopes, s) {
			kept = append(kept, s)
		}
	}
	if slices.ContainsFunc(scopes, func(s string) bool { return !slices.Contains(kept, s) }) {
		return nil, fault.New(fault.InvalidArgument, "there is no such scope", "the scopes are "+strings.Join(Scopes(), ", "))
	}
	return kept, nil
}

// Remove removes a client. Its token is refused from then on, by a running
// server too.
func (c *Clients) Remove(ctx context.Context, name string) error {
	return c.change(ctx, func(all []keptClient) ([]keptClient, error) {
		left := slices.DeleteFunc(slices.Clone(all), func(k keptClient) bool { return k.Name == name })
		if len(left) == len(all) {
			return nil, fault.New(fault.InvalidArgument, "there is no client of this name", "bankauth clients list shows them")
		}
		return left, nil
	})
}

// List returns the clients, oldest first.
func (c *Clients) List() ([]Client, error) {
	known, _, err := c.current()
	var all []Client
	for _, k := range known {
		all = append(all, k.Client)
	}
	return all, err
}

// find returns the client whose token has the digest. It looks at all of them,
// so that the time it takes tells nothing.
func (c *Clients) find(digest [sha256.Size]byte) (Client, bool, error) {
	known, _, err := c.current()
	if err != nil {
		return Client{}, false, err
	}
	at := -1
	for i := range known {
		at = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(known[i].digest[:], digest[:]), i, at)
	}
	if at < 0 {
		return Client{}, false, nil
	}
	return known[at].Client, true, nil
}

// There reports whether the file is there now. One that cannot be used is an
// error.
func (c *Clients) There() (bool, error) {
	_, _, err := c.current()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.info != nil, err
}

// reread reads the file though it may look the same.
func (c *Clients) reread() error {
	c.mu.Lock()
	c.info = nil
	c.mu.Unlock()
	_, _, err := c.current()
	return err
}

// kept reports whether there is or was a file: once there was, callers need a
// token, also when the last client has been removed.
func (c *Clients) kept() bool {
	c.mu.Lock()
	seen := c.seen // it stays so, whatever becomes of the file
	c.mu.Unlock()
	if !seen {
		_, seen, _ = c.current()
	}
	return seen
}

// current returns the clients as the file has them now. Without the file there
// are none; one that cannot be used is an error, and admits nobody.
func (c *Clients) current() (known []keptClient, seen bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	info, err := os.Stat(c.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.info, c.known, c.err = nil, nil, nil
	case err != nil:
		c.info, c.known, c.err, c.seen = nil, nil, c.unusable("cannot be read", err), true
	case c.info == nil || !os.SameFile(info, c.info) || !info.ModTime().Equal(c.info.ModTime()) || info.Size() != c.info.Size() || info.Mode() != c.info.Mode():
		c.info, c.seen = info, true
		c.known, c.err = c.read(info)
	}
	return c.known, c.seen, c.err
}

// mostClients bounds the file: it is looked through for each request.
const mostClients, mostClientBytes = 1000, 1 << 20

func (c *Clients) read(info fs.FileInfo) ([]keptClient, error) {
	switch {
	case !info.Mode().IsRegular():
		return nil, c.unusable("is not a regular file", nil)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0:
		return nil, c.unusable("can be written by other users; look at it, then run chmod 600", nil)
	case info.Size() > mostClientBytes:
		return nil, c.unusable("is too large", nil)
	}
	b, err := os.ReadFile(c.path)
	if err != nil {
		return nil, c.unusable("cannot be read", err)
	}
	var f clientsFile
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, c.unusable("is not what bankauth clients wrote", err)
	}
	if f.Version != clientsVersion {
		return nil, c.unusable("is of another version of bankauth", nil)
	}
	if len(f.Clients) > mostClients {
		return nil, c.unusable(fmt.Sprintf("names more than %d clients", mostClients), nil)
	}
	names := map[string]bool{}
	for i := range f.Clients {
		k := &f.Clients[i]
		sum, err := hex.DecodeString(k.SHA256)
		if _, wrong := checked(k.Scopes); err != nil || len(sum) != sha256.Size || wrong != nil || len(k.Scopes) == 0 || !clientName().MatchString(k.Name) || names[k.Name] {
			return nil, c.unusable("is not what bankauth clients wrote", err)
		}
		names[k.Name] = true
		k.digest = [sha256.Size]byte(sum)
	}
	return f.Clients, nil
}

func (c *Clients) unusable(what string, cause error) *fault.Fault {
	return fault.New(fault.NotConfigured, "the file of clients "+what, "see to "+c.path+", or name another with BANKAUTH_CLIENTS_FILE").Because(cause)
}

// change replaces the file by what edit makes of its clients. Other processes
// wait; a reader sees the old file or the new one.
func (c *Clients) change(ctx context.Context, edit func([]keptClient) ([]keptClient, error)) error {
	if err := c.folder(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	lock := flock.New(c.path+".lock", flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(ctx, 5*time.Millisecond); err != nil {
		return c.unusable("cannot be locked", err)
	}
	defer lock.Close()
	known, _, err := c.current()
	if err != nil {
		return err
	}
	edited, err := edit(slices.Clone(known))
	if err != nil {
		return err
	}
	if len(edited) > mostClients {
		return fault.New(fault.Unsupported, fmt.Sprintf("there are %d clients already", mostClients), "remove those that are not used, or admit clients by an issuer: BANKAUTH_ISSUER")
	}
	if edited == nil {
		edited = []keptClient{}
	}
	b, err := json.MarshalIndent(clientsFile{Version: clientsVersion, Clients: edited}, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the clients: %w", err)
	}
	if err := replace(c.path, append(b, '\n')); err != nil {
		return c.unusable("cannot be written", err)
	}
	return nil
}

// folder makes the folder, or closes one that holds nothing yet to others, as
// the vault does: the two may share it.
func (c *Clients) folder() error {
	dir := filepath.Dir(c.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return c.unusable("has no folder, and it cannot be made", err)
	}
	if names, err := os.ReadDir(dir); err == nil && len(names) == 0 {
		_ = os.Chmod(dir, 0o700) // where it is not ours to change, writing will tell
	}
	return nil
}

// replace writes a file so that a crash leaves the old one or the new one.
func replace(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if d, err := os.Open(filepath.Dir(path)); err == nil {
		_ = d.Sync() // not every system can
		_ = d.Close()
	}
	return nil
}
