package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Keys, from the user's to a record's:
//
//	user's key ──HKDF(salt vault id, "bankauth wrap")──► opens meta.data_key
//	data key ──HKDF-Extract(salt vault id)──► root
//	root ──HKDF-Expand("record" kind ref)──► AES-256-GCM key of one record
//	root ──HKDF-Expand("lookup")──────────► HMAC key of the lookup columns
//
// A sealed text is nonce(12) ‖ ciphertext ‖ tag(16); its additional data are
// "bankauth/1", vault id, kind, ref and sequence, so that a text moved to
// another row, another vault or another moment does not open.

const keySize = 32

// sealer holds the data key's descendants. It is safe for concurrent use.
type sealer struct {
	vaultID []byte
	root    []byte
	lookups []byte
}

func newSealer(vaultID, dataKey []byte) (*sealer, error) {
	root, err := hkdf.Extract(sha256.New, dataKey, vaultID)
	if err != nil {
		return nil, fmt.Errorf("deriving the root key: %w", err)
	}
	lookups, err := hkdf.Expand(sha256.New, root, "bankauth lookup", keySize)
	if err != nil {
		return nil, fmt.Errorf("deriving the lookup key: %w", err)
	}
	return &sealer{vaultID: vaultID, root: root, lookups: lookups}, nil
}

// box seals and opens the versions of one record.
type box struct {
	aead cipher.AEAD
	aad  []byte // all but the sequence
}

func (s *sealer) box(kind, ref string) (*box, error) {
	key, err := hkdf.Expand(sha256.New, s.root, "bankauth record "+kind+" "+ref, keySize)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of %q: %w", ref, err)
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	return &box{aead: aead, aad: additional(s.vaultID, kind, ref)}, nil
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
	m := hmac.New(sha256.New, s.lookups)
	m.Write(joined(purpose, parts...))
	return m.Sum(nil)
}

func (s *sealer) owner(principal string) []byte { return s.lookup("principal", principal) }

func (s *sealer) identity(id Identity) []byte {
	return s.lookup("identity", id.Principal, id.Provider, id.Environment, id.Client, id.Grant, id.Account)
}

// wrap seals the data key under the user's key.
func wrap(userKey, vaultID, dataKey []byte) ([]byte, error) {
	b, err := wrapping(userKey, vaultID)
	if err != nil {
		return nil, err
	}
	return b.seal(dataKey, 0), nil
}

func unwrap(userKey, vaultID, wrapped []byte) ([]byte, error) {
	b, err := wrapping(userKey, vaultID)
	if err != nil {
		return nil, err
	}
	key, err := b.open(wrapped, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the data key: %w", err)
	}
	return key, nil
}

func wrapping(userKey, vaultID []byte) (*box, error) {
	key, err := hkdf.Key(sha256.New, userKey, vaultID, "bankauth wrap", keySize)
	if err != nil {
		return nil, fmt.Errorf("deriving the wrapping key: %w", err)
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	return &box{aead: aead, aad: additional(vaultID, "data_key", "")}, nil
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
