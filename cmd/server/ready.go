package main

import (
	"context"
	"errors"
	"os"

	"bankauth/internal/fault"
	"bankauth/internal/vault"
	"bankauth/tools"
)

// ready says whether calls would be served: the store answers, its key is
// there and fits, and the folder takes a file. A first failure is logged.
func (s *service) ready(ctx context.Context) map[string]bool {
	err := s.reach(ctx)
	is := map[string]bool{"store": err == nil, "key": !errors.Is(err, vault.ErrKey), "disk": s.writable()}
	fine := is["store"] && is["disk"]
	if was := s.unready.Swap(!fine); !fine && !was {
		s.log.Error().AnErr("error", err).Bool("disk", is["disk"]).Msg("calls cannot be served")
	}
	return is
}

// nobodys is a token_ref that is well formed and was never given out.
const nobodys = "tok_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// reach reads something of the store that is not in memory.
func (s *service) reach(ctx context.Context) error {
	v, err := s.openVault(ctx)
	if err != nil {
		return err
	}
	_, err = v.Get(ctx, tools.Local, nobodys)
	if f := fault.From(err); f != nil && f.Code == fault.InvalidArgument {
		return nil // there is no such token, says the store
	}
	return err
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
