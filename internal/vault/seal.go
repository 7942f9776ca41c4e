package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

// Keys, from the user's to a record's:
//
//	user's key ──HKDF(salt vault id, "bankauth wrap")──► opens data_keys.wrapped and meta.index_key
//	a data key ──HKDF-Extract(salt vault id)──► its root
//	root ──HKDF-Expand("record" kind ref)──► AES-256-GCM key of one record
//	index key ──HMAC──► the lookup columns, the chain of the audit
//
// A sealed text is nonce(12) ‖ ciphertext ‖ tag(16); its additional data are
// "bankauth/1", vault id, kind, ref and sequence, so that a text moved to
// another row, another vault or another moment does not open. Each row names
// its data key: `bankauth vault rekey` draws a new one and seals everything
// anew, while the rows of a server that has not heard of it still open. The
// index key stays as it is, or no row could be found any more.

const keySize = 32

// keys are what a vault opens with.
type keys struct {
	index   []byte
	data    map[int64][]byte // by id
	current int64            // what new texts are sealed with
}

// sealer holds the keys' descendants. It is safe for concurrent use.
type sealer struct {
	vaultID []byte
	index   []byte
	roots   map[int64][]byte
	current int64
}

func newSealer(vaultID []byte, k keys) (*sealer, error) {
	s := &sealer{vaultID: vaultID, index: k.index, roots: map[int64][]byte{}, current: k.current}
	for id, key := range k.data {
		root, err := hkdf.Extract(sha256.New, key, vaultID)
		if err != nil {
			return nil, fmt.Errorf("deriving a root key: %w", err)
		}
		s.roots[id] = root
	}
	return s, nil
}

// errKeyGone marks a text that was sealed with a data key we do not have.
var errKeyGone = errors.New("the record was sealed with a key that this process does not know")

// box seals and opens the versions of one record.
type box struct {
	key  int64 // the data key's id
	aead cipher.AEAD
	aad  []byte // all but the sequence
}

// fresh is the box that new texts go into.
func (s *sealer) fresh(kind, ref string) (*box, error) { return s.box(s.current, kind, ref) }

func (s *sealer) box(id int64, kind, ref string) (*box, error) {
	root := s.roots[id]
	if root == nil {
		return nil, errKeyGone
	}
	key, err := hkdf.Expand(sha256.New, root, "bankauth record "+kind+" "+ref, keySize)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of %q: %w", ref, err)
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	return &box{key: id, aead: aead, aad: additional(s.vaultID, kind, ref)}, nil
}

func (b *box) seal(plain []byte, seq int64) []byte {
	return b.aead.Seal(nil, nil, plain, b.bound(seq))
}

func (b *box) open(sealed []byte, seq int64) ([]byte, error) {
	return b.aead.Open(nil, nil, sealed, b.bound(seq))
}

func (b *box) bound(seq int64) []byte {
	aad := make([]byte, len(b.aad), len(b.aad)+8)
	copy(aad, b.aad)
	return binary.BigEndian.AppendUint64(aad, uint64(seq))
}

// lookup returns the blind index of parts under a purpose.
func (s *sealer) lookup(purpose string, parts ...string) []byte {
	m := hmac.New(sha256.New, s.index)
	m.Write(joined(purpose, parts...))
	return m.Sum(nil)
}

func (s *sealer) owner(principal string) []byte { return s.lookup("principal", principal) }

func (s *sealer) identity(id Identity) []byte {
	return s.lookup("identity", id.Principal, id.Provider, id.Environment, id.Client, id.Grant, id.Account)
}

// The names under which a key is wrapped, so that one cannot stand for another.
const indexKey = "index_key"

func dataKey(id int64) string { return "data_key " + strconv.FormatInt(id, 10) }

// wrap seals one of the vault's keys under the user's.
func wrap(userKey, vaultID []byte, name string, key []byte) ([]byte, error) {
	b, err := wrapping(userKey, vaultID, name)
	if err != nil {
		return nil, err
	}
	return b.seal(key, 0), nil
}

func unwrap(userKey, vaultID []byte, name string, wrapped []byte) ([]byte, error) {
	b, err := wrapping(userKey, vaultID, name)
	if err != nil {
		return nil, err
	}
	key, err := b.open(wrapped, 0)
	if err != nil {
		return nil, fmt.Errorf("opening %q: %w", name, err)
	}
	return key, nil
}

func wrapping(userKey, vaultID []byte, name string) (*box, error) {
	key, err := hkdf.Key(sha256.New, userKey, vaultID, "bankauth wrap", keySize)
	if err != nil {
		return nil, fmt.Errorf("deriving the wrapping key: %w", err)
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	return &box{aead: aead, aad: additional(vaultID, name, "")}, nil
}

// keyID tells a wrong key from a damaged vault without giving the key away.
func keyID(userKey, vaultID []byte) []byte {
	m := hmac.New(sha256.New, userKey)
	m.Write(joined("bankauth key id", string(vaultID)))
	return m.Sum(nil)[:8]
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("making a cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("making a cipher: %w", err)
	}
	return aead, nil
}

func additional(vaultID []byte, kind, ref string) []byte {
	return joined("bankauth/1", string(vaultID), kind, ref)
}

// joined is unambiguous: each part stands behind its length.
func joined(first string, rest ...string) []byte {
	b := append(binary.BigEndian.AppendUint32(nil, uint32(len(first))), first...)
	for _, s := range rest {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
	}
	return b
}
