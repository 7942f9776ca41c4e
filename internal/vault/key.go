package vault

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
)

// Key says where the user's key comes from, 32 bytes that open the vault. The
// zero Key asks the OS keyring (service "bankauth"), and where none answers
// keeps a file vault.key of mode 0600 in the vault's folder, made on first
// use. Value and File together are refused. A file is read each time that the
// key is needed.
type Key struct {
	Value secret.Value // base64, from BANKAUTH_VAULT_KEY
	File  string       // names a file with base64, from BANKAUTH_VAULT_KEY_FILE
	// Credential names the file that systemd's LoadCredential makes; where it is
	// not there, it counts as not given. Value, File and Keyring go before it.
	Credential string
	Keyring    bool // nothing but the keyring will do
	anew       bool // it is the one that Rekey was given
}

// variable is where the user has named the key.
func (k Key) variable() string {
	if k.anew {
		return "BANKAUTH_VAULT_NEW_KEY"
	}
	return "BANKAUTH_VAULT_KEY"
}

// CredentialName is what the systemd credential with the key is called.
const CredentialName = "bankauth-vault-key"

// Where a key came from, as Status says it and as the vault remembers it.
const (
	sourceValue      = "environment"
	sourceNamed      = "file"
	sourceCredential = "systemd credential"
	sourceOwn        = "key file"
	sourceKeyring    = "keyring"
	sourceMemory     = "memory"
)

// ErrKey is behind every error that says that the vault's key cannot be had, or
// is not this vault's.
var ErrKey = errors.New("the vault's key cannot be used")

// keyless is refuse for want of the key.
func keyless(message, hint string, cause error) *fault.Fault {
	return refuse(message, hint, errors.Join(ErrKey, cause))
}

// userKey is the key and where it came from.
type userKey struct {
	bytes  []byte
	source string
	path   string // of the file, where it is not the user who named it; else ""
	next   bool   // it is a new one, and has its passing name still
}

// given returns the key that the user named, or nil where none was.
func (k Key) given() (*userKey, error) {
	switch {
	case !k.Value.IsZero() && k.File != "":
		return nil, keyless("two keys are given for the vault", "set only one of "+k.variable()+" and "+k.variable()+"_FILE", nil)
	case !k.Value.IsZero():
		b, err := parseKey(k.Value.Reveal())
		if err != nil {
			return nil, keyless(k.variable()+" is not a key", "set it to 32 bytes in base64, such as `openssl rand -base64 32` prints", err)
		}
		return &userKey{bytes: b, source: sourceValue}, nil
	case k.File != "":
		// The path stands in no text: it may be a secret in the wrong variable.
		b, err := givenFile("the file that "+k.variable()+"_FILE names", "that file", k.File)
		if err != nil {
			return nil, err
		}
		return &userKey{bytes: b, source: sourceNamed}, nil
	case k.Credential != "" && !k.Keyring:
		b, err := givenFile("the systemd credential "+CredentialName, "its file", k.Credential)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return &userKey{bytes: b, source: sourceCredential}, nil
	}
	return nil, nil
}

// forNew is given where no vault is there yet, and so no key to put back.
func (k Key) forNew() (*userKey, error) {
	u, err := k.given()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, keyless("the file that "+k.variable()+"_FILE names is missing",
			"make it with 32 bytes in base64, such as `openssl rand -base64 32` prints, and chmod 600; or unset "+k.variable()+"_FILE", fs.ErrNotExist)
	}
	return u, err
}

// existing finds the key of a vault that is there already. Nothing is made.
func (k Key) existing(f folder, m meta) (*userKey, error) {
	u, err := k.given()
	if err != nil || u != nil {
		return u, err
	}
	if k.Keyring && m.source != sourceKeyring {
		return nil, keyless("the vault's key is not in the OS keyring, as BANKAUTH_VAULT_KEY asks (it came from the "+m.source+")",
			"unset BANKAUTH_VAULT_KEY, or set BANKAUTH_DATA_DIR to another folder for a vault with its key in the keyring", nil)
	}
	switch m.source {
	case sourceKeyring:
		return fitting(m, func(next bool) (*userKey, error) { return fromKeyring(m, next) })
	case sourceOwn:
		return fitting(m, func(next bool) (*userKey, error) { return fromFolder(f, next) })
	}
	return nil, keyless("the vault was made with a key of your own, which is not set",
		"set BANKAUTH_VAULT_KEY or BANKAUTH_VAULT_KEY_FILE to the key it was made with", nil)
}

// fitting returns the key, or the one that a rekey was cut off before naming,
// whichever the vault says is its own. Where neither is, the answer is the key.
func fitting(m meta, from func(next bool) (*userKey, error)) (*userKey, error) {
	u, err := from(false)
	if err == nil && m.fits(u) == nil {
		return u, nil
	}
	if next, nerr := from(true); nerr == nil && m.fits(next) == nil {
		next.next = true
		return next, nil
	}
	return u, err
}

func fromKeyring(m meta, next bool) (*userKey, error) {
	account := m.account()
	if next {
		account = m.nextAccount()
	}
	text, err := keyringGet(account)
	if err != nil {
		return nil, keyless("the vault's key is in the OS keyring, which does not give it",
			"unlock the keyring of your desktop session and call again", err)
	}
	b, err := parseKey(text)
	if err != nil {
		return nil, keyless("the OS keyring's entry for bankauth is not a key", "restore the entry "+account+" of service bankauth", err)
	}
	return &userKey{bytes: b, source: sourceKeyring}, nil
}

func fromFolder(f folder, next bool) (*userKey, error) {
	path := f.key()
	if next {
		path = f.nextKey()
	}
	b, err := readKeyFile("the vault's key file", path)
	if err != nil {
		return nil, err
	}
	return &userKey{bytes: b, source: sourceOwn, path: f.key()}, nil
}

// first finds or makes the key of a vault that is about to be made. account
// is the keyring's name for it. The caller holds the lock for making vaults.
func (k Key) first(f folder, account string, random io.Reader) (*userKey, error) {
	u, err := k.forNew()
	if err != nil || u != nil {
		return u, err
	}
	switch b, err := readKeyFile("the vault's key file", f.key()); {
	case k.Keyring: // a key file that lies there is no answer
	case err == nil:
		return &userKey{bytes: b, source: sourceOwn, path: f.key()}, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	b := make([]byte, keySize)
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, fmt.Errorf("drawing the vault's key: %w", err)
	}
	text := base64.StdEncoding.EncodeToString(b)
	if keyringKeeps(account, text) {
		return &userKey{bytes: b, source: sourceKeyring}, nil
	}
	if k.Keyring {
		return nil, keyless("no OS keyring answers, and BANKAUTH_VAULT_KEY asks for one",
			"unlock the keyring of your desktop session, or unset BANKAUTH_VAULT_KEY for a key file, or set it to 32 bytes in base64", nil)
	}
	if err := writeKeyFile(f, text); err != nil {
		return nil, keyless("the vault's key file cannot be written", "give your user write access to "+string(f), err)
	}
	return &userKey{bytes: b, source: sourceOwn, path: f.key()}, nil
}

// readKeyFile returns a fault whose cause is fs.ErrNotExist where no file is.
func readKeyFile(what, path string) ([]byte, error) {
	there, err := file(what, path)
	return keyIn(what, path, path, there, err)
}

// givenFile is readKeyFile for a file that somebody else has put there for us;
// where says which one it is in place of its path.
func givenFile(what, where, path string) ([]byte, error) {
	there, err := mounted(what, where, path)
	return keyIn(what, where, path, there, err)
}

func keyIn(what, where, path string, there bool, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, keyless(what+" is missing", "put the key back at "+where+"; without it nobody can open this vault", fs.ErrNotExist)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, keyless(what+" cannot be read", "give your user access to "+where, err)
	}
	b, err := parseKey(string(text))
	if err != nil {
		return nil, keyless(what+" holds no key", "put 32 bytes in base64 into "+where, err)
	}
	return b, nil
}

func writeKeyFile(f folder, text string) error {
	w, err := os.OpenFile(f.key(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("making the key file: %w", err)
	}
	_, err = w.WriteString(text + "\n")
	if err := errors.Join(err, w.Sync(), w.Close()); err != nil {
		return fmt.Errorf("writing the key file: %w", err)
	}
	return f.sync()
}

var errKeySize = errors.New("a key has 32 bytes")

func parseKey(text string) ([]byte, error) {
	// Editors on Windows begin a file with a byte order mark.
	text = strings.TrimRight(strings.TrimSpace(strings.TrimPrefix(text, "\ufeff")), "=")
	enc := base64.RawStdEncoding
	if strings.ContainsAny(text, "-_") {
		enc = base64.RawURLEncoding
	}
	b, err := enc.DecodeString(text)
	if err != nil || len(b) != keySize {
		return nil, errKeySize // the decoder's error would tell where the text is wrong
	}
	return b, nil
}
