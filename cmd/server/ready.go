package main

import (
	"context"
	"os"
)

// ready says whether calls would be served: the store opens with its key, and
// the folder takes a file.
func (s *service) ready(ctx context.Context) map[string]bool {
	_, err := s.openVault(ctx)
	return map[string]bool{"vault": err == nil, "disk": s.writable()}
}

// writable reports whether the vault's folder takes a file. A vault that is
// thrown away has none.
func (s *service) writable() bool {
	o, err := vaultOptions(s.env, s.settings)
	switch {
	case err != nil:
		return false
	case o.Ephemeral:
		return true
	}
	f, err := os.CreateTemp(o.Dir, ".ready-*")
	if err != nil {
		return false
	}
	_, err = f.Write([]byte("bankauth"))
	cerr, rerr := f.Close(), os.Remove(f.Name())
	return err == nil && cerr == nil && rerr == nil
}
