package config

import (
	"path/filepath"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
)

// NewKey is the key that `bankauth vault rekey` gives the vault. The command
// embeds it beside Settings.
type NewKey struct {
	NewKeyFile string       `name:"new-key-file" env:"BANKAUTH_VAULT_NEW_KEY_FILE" group:"Vault" placeholder:"FILE" help:"For vault rekey: file with the vault's new key, where the present one was given from outside."`
	NewKey     secret.Value `kong:"-" env:"BANKAUTH_VAULT_NEW_KEY" group:"Vault" secret:"" help:"For vault rekey: the new key itself."`
}

// ReadSecrets fills the field that has no flag, and makes the path whole.
func (k *NewKey) ReadSecrets(e Environment) error {
	value, _ := e.Lookup("BANKAUTH_VAULT_NEW_KEY")
	k.NewKey = secret.New(value)
	path, err := e.Path(k.NewKeyFile)
	k.NewKeyFile = path
	if err == nil && path != "" && !k.NewKey.IsZero() {
		err = fault.New(fault.NotConfigured, "BANKAUTH_VAULT_NEW_KEY and BANKAUTH_VAULT_NEW_KEY_FILE (--new-key-file) are both set", "unset one of them")
	}
	return err
}

// readKey reads the vault's key, or the path of its file: the vault reads that
// itself, whenever it needs the key.
func (s *Settings) readKey(e Environment) error {
	const name, file = "BANKAUTH_VAULT_KEY", "BANKAUTH_VAULT_KEY_FILE"
	value, here := e.Lookup(name)
	path, there := e.Lookup(file)
	if here && there {
		return fault.New(fault.NotConfigured, name+" and "+file+" are both set", "unset one of them")
	}
	path, err := e.Path(path)
	if err != nil {
		return unusable(file, "cannot be found: its path begins with ~ or is relative", "name the whole path").Because(err)
	}
	s.VaultKey, s.VaultKeyFile = secret.New(value), path
	return nil
}

// Credential returns the path under which systemd puts the credential called
// name; "" where the process was given none.
func (e Environment) Credential(name string) string {
	dir, ok := e.Lookup("CREDENTIALS_DIRECTORY")
	if !ok || !filepath.IsAbs(dir) {
		return ""
	}
	return filepath.Join(dir, name)
}
