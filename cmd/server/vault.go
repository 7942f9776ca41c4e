package main

import (
	"context"
	"fmt"
	"strings"

	"bankauth/internal/config"
	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/vault"
)

type vaultCommand struct {
	Check   vaultCheckCommand   `cmd:"" help:"Open everything that the vault holds, and say what needs you."`
	Backup  vaultBackupCommand  `cmd:"" help:"Copy the vault, sealed as it is, into a new file."`
	Restore vaultRestoreCommand `cmd:"" help:"Bring back from a backup what the vault has lost."`
	Accept  vaultAcceptCommand  `cmd:"" help:"Let suspect tokens be refreshed again."`
	Rekey   vaultRekeyCommand   `cmd:"" help:"Give the vault a new key and seal everything anew."`
}

const besideServers = " Servers may go on using the vault meanwhile."

type vaultCheckCommand struct {
	config.Settings `embed:""`

	JSON bool `name:"json" help:"Print JSON."`
}

// Help is what kong prints below the summary.
func (c *vaultCheckCommand) Help() string {
	return "Ends with 0 when nothing needs you, else with 1. Nothing is made or changed." + besideServers
}

// Run makes every check and prints them.
func (c *vaultCheckCommand) Run(ctx context.Context, p *process) error {
	o, err := lastingVault(p.env, c.Settings)
	if err != nil {
		return err
	}
	found, err := vault.Check(ctx, o)
	if err != nil {
		return reportChecks(p, []check{broken("vault", err)}, c.JSON)
	}
	return reportChecks(p, conditionChecks(found), c.JSON)
}

type vaultBackupCommand struct {
	config.Settings `embed:""`

	File string `arg:"" help:"Where the backup is to lie; there must be nothing yet."`
}

// Help is what kong prints below the summary.
func (c *vaultBackupCommand) Help() string {
	return "The backup opens with the key that the vault has now: keep that key, too, and apart from it." + besideServers
}

// Run writes the backup.
func (c *vaultBackupCommand) Run(ctx context.Context, p *process) error {
	path, err := p.env.Path(c.File)
	if err != nil {
		return err
	}
	var b vault.Backup
	made, err := withVault(ctx, p, c.Settings, func(v *vault.Vault) (err error) {
		b, err = v.Backup(ctx, path)
		return err
	})
	switch {
	case err != nil:
		return err
	case !made:
		return fault.New(fault.InvalidArgument, "there is no vault yet, so there is nothing to back up", firstToken)
	}
	fmt.Fprintf(p.out, "Backed up: tokens %d, passwords %d, and the audit. Keep the vault's key apart from it.\n", b.Records, b.Passwords)
	if b.Spilled > 0 {
		fmt.Fprintf(p.err, "bankauth: answers that lie beside the store and are not in the backup: %d\n  run `bankauth vault check`\n", b.Spilled)
		return exit(exitFailed)
	}
	return nil
}

type vaultRestoreCommand struct {
	config.Settings `embed:""`

	File string `arg:"" help:"The backup."`
}

// Help is what kong prints below the summary.
func (c *vaultRestoreCommand) Help() string {
	return "What the vault has as new or newer stays. A token that comes back is suspect: it may have been renewed since the backup, " +
		"and using an old refresh token can end a whole connection. `bankauth vault accept` lets it be refreshed." + besideServers
}

// Run restores and says what came back.
func (c *vaultRestoreCommand) Run(ctx context.Context, p *process) error {
	path, err := p.env.Path(c.File)
	if err != nil {
		return err
	}
	o, err := lastingVault(p.env, c.Settings)
	if err != nil {
		return err
	}
	r, err := vault.Restore(ctx, o, path)
	if err != nil {
		return err
	}
	if r.Made {
		fmt.Fprintf(p.out, "Made the vault from the backup: tokens %d.\n", r.Inserted)
	} else {
		fmt.Fprintf(p.out, "Restored: tokens that were missing %d, that were older or damaged %d; kept as they were %d; passwords %d.\n",
			r.Inserted, r.Replaced, r.Kept, r.Passwords)
	}
	if len(r.Suspect) > 0 {
		fmt.Fprintf(p.out, "Suspect, and not refreshed before you say so with `bankauth vault accept`:\n  %s\n", strings.Join(r.Suspect, "\n  "))
	}
	if r.Unreadable > 0 {
		fmt.Fprintf(p.err, "bankauth: records of the backup that do not open: %d\n  give the key that the vault had when the backup was made, with --data-dir naming an empty folder\n", r.Unreadable)
		return exit(exitFailed)
	}
	return nil
}

type vaultAcceptCommand struct {
	config.Settings `embed:""`

	All  bool     `help:"All that are suspect."`
	Refs []string `arg:"" optional:"" name:"ref" help:"Their token_refs."`
}

// Run accepts the tokens, all or none.
func (c *vaultAcceptCommand) Run(ctx context.Context, p *process) error {
	if c.All == (len(c.Refs) > 0) {
		return misuse("name the token_refs to accept, or --all; `bankauth vault check` lists those that are suspect")
	}
	var accepted []string
	made, err := withVault(ctx, p, c.Settings, func(v *vault.Vault) (err error) {
		accepted, err = v.Accept(ctx, c.Refs...)
		return err
	})
	switch {
	case err != nil:
		return err
	case !made:
		return fault.New(fault.InvalidArgument, "there is no vault yet, so no token is suspect", firstToken)
	}
	fmt.Fprintf(p.out, "Accepted: tokens %d.\n", len(accepted))
	return nil
}

type vaultRekeyCommand struct {
	config.Settings `embed:""`
	config.NewKey   `embed:""`
}

// Help is what kong prints below the summary.
func (c *vaultRekeyCommand) Help() string {
	return "A key that bankauth made itself, in its key file or the keyring, is replaced there. For one that was given from outside, " +
		"give the new one with BANKAUTH_VAULT_NEW_KEY or --new-key-file. Servers go on: those whose key came from a file or the keyring " +
		"find the new one by themselves; those with BANKAUTH_VAULT_KEY must be started again with the new one. Backups of before open with the old key."
}

// Run changes the key.
func (c *vaultRekeyCommand) Run(ctx context.Context, p *process) error {
	if err := c.NewKey.ReadSecrets(p.env); err != nil {
		return err
	}
	next := vault.Key{Value: c.NewKey.NewKey, File: c.NewKeyFile}
	var r vault.Rekeyed
	made, err := withVault(ctx, p, c.Settings, func(v *vault.Vault) (err error) {
		r, err = v.Rekey(ctx, next)
		return err
	})
	switch {
	case err != nil:
		return err
	case !made:
		return fault.New(fault.InvalidArgument, "there is no vault yet, so it has no key", firstToken)
	}
	fmt.Fprintf(p.out, "The vault has a new key. Sealed anew: %d.\n", r.Sealed)
	switch {
	case r.Path != "":
		fmt.Fprintf(p.out, "It is in %s: back it up. Older backups open with the old key only.\n", r.Path)
	case !next.Value.IsZero():
		fmt.Fprintln(p.out, "Set BANKAUTH_VAULT_KEY to the new key wherever the vault is used, and start those servers again.")
	case r.Was == "key file" || r.Was == "keyring": // and now it is looked for where keys are given
		fmt.Fprintf(p.out, "It is one of your own now: set BANKAUTH_VAULT_KEY_FILE to its file wherever the vault is used, and start those servers again. "+
			"The one in the %s opens older backups only.\n", r.Was)
	case next.File != "":
		fmt.Fprintln(p.out, "Put the new key where the old one came from; servers that read it from a file go on by themselves.")
	}
	if r.Left > 0 {
		fmt.Fprintf(p.err, "bankauth: texts that are sealed with an older key still: %d\n  `bankauth vault check` says which do not open; servers that have not got the new key write more\n", r.Left)
		return exit(exitFailed)
	}
	return nil
}

const noVault = "There is no vault yet: the first token makes it. " + firstToken

// lastingVault is vaultOptions for a command about a vault that lasts.
func lastingVault(env config.Environment, settings config.Settings) (vault.Options, error) {
	o, err := vaultOptions(env, settings)
	if err == nil && o.Ephemeral {
		err = misuse("a simulated server's vault is gone when it ends; name its folder with --data-dir, or leave --simulate out")
	}
	return o, err
}

// vaultKey says what opens the vault.
func vaultKey(env config.Environment, settings config.Settings) vault.Key {
	if settings.VaultKey.Equal(secret.New("keyring:")) {
		return vault.Key{Keyring: true}
	}
	return vault.Key{Value: settings.VaultKey, File: settings.VaultKeyFile, Credential: env.Credential(vault.CredentialName)}
}
