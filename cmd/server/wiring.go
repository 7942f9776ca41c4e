package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"bankauth/internal/config"
	"bankauth/internal/consent"
	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/simulator"
	"bankauth/internal/vault"
	"bankauth/providers"
	"bankauth/schema"
	"bankauth/tools"
)

// closing bounds how long the end of a process waits for exchanges with a
// provider that are under way; one takes 20 s at most.
const closing = 25 * time.Second

// service is the program put together: settings, documents, clients, vault
// and tools. It opens and starts nothing before it is needed, except the
// simulator where one was asked for.
type service struct {
	env      config.Environment
	settings config.Settings
	log      zerolog.Logger
	tools    *tools.Set
	consents *consent.Consents
	observer *observer // nil: nobody counts

	simulator *simulator.Simulator // nil unless a provider is simulated

	unready atomic.Bool // when readiness was last asked for

	mu    sync.Mutex
	vault *vault.Vault // nil until it is needed
}

// newService wires what the settings ask for. close ends it.
func newService(ctx context.Context, p *process, settings config.Settings) (*service, error) {
	return newServiceWith(ctx, p, settings, extras{})
}

// extras are what a command adds to the settings. The zero extras add nothing.
type extras struct {
	egress   func(ctx context.Context, principal string) string // tools.Options.Egress
	observer *observer                                          // is told of calls and exchanges
}

func newServiceWith(ctx context.Context, p *process, settings config.Settings, more extras) (*service, error) {
	s := &service{env: p.env, settings: settings, log: newLog(settings, p.err), observer: more.observer}
	documents, err := offered(p.env, settings)
	if err != nil {
		return nil, err
	}
	banks, err := s.banks(ctx, documents)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	listen, err := settings.ConsentAddress()
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.consents = consent.New(consent.Options{Vault: s.openVault, Listen: listen})
	o := tools.Options{
		Banks: banks, Vault: s.openVault, Consents: s.consents, Egress: more.egress, Exposure: tools.Exposure(settings.Expose), Log: s.log,
	}
	if s.observer != nil {
		o.Observe, o.Sent = s.observer.call, s.observer.metrics.Sent
	}
	s.tools, err = tools.New(o)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// documents returns every provider that is described: the bundled ones and
// those of the user's folder.
func documents(env config.Environment, settings config.Settings) ([]*schema.Provider, error) {
	all, err := schema.Bundled()
	if err != nil || settings.ProviderDir == "" {
		return all, err
	}
	dir, err := env.Path(settings.ProviderDir)
	if err != nil {
		return nil, err
	}
	further, err := schema.Dir(dir)
	return append(all, further...), err
}

// offered returns those of the described providers that are to be offered.
func offered(env config.Environment, settings config.Settings) ([]*schema.Provider, error) {
	all, err := documents(env, settings)
	if err != nil {
		return nil, err
	}
	names, err := settings.Offered(namesOf(all))
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(p *schema.Provider) bool { return !slices.Contains(names, p.Name) })
	if !settings.Simulate {
		return all, nil
	}
	if real := unsimulated(all); len(real) > 0 && len(settings.Providers) > 0 {
		return nil, fault.New(fault.NotConfigured, real[0]+cannotSimulate,
			"take it out of BANKAUTH_PROVIDERS (--providers), or leave --simulate out")
	}
	return slices.DeleteFunc(all, func(p *schema.Provider) bool { return !simulated(p) }), nil
}

// unsimulated names those of all that the simulator does not play. Where
// everything is to be simulated they are left out: nothing may be sent then.
func unsimulated(all []*schema.Provider) []string {
	var names []string
	for _, p := range all {
		if !simulated(p) {
			names = append(names, p.Name)
		}
	}
	return names
}

const cannotSimulate = " cannot be simulated: the simulator plays fintecture, flinks and finapi"

func namesOf(all []*schema.Provider) []string {
	var names []string
	for _, p := range all {
		names = append(names, p.Name)
	}
	return names
}

func (s *service) banks(ctx context.Context, all []*schema.Provider) ([]tools.Bank, error) {
	transport := providers.NewTransport()
	agent := "bankauth/" + thisRelease().Version
	var banks []tools.Bank
	for _, p := range all {
		o, missing, err := clientOptions(s.env, s.settings, p)
		if err != nil {
			bank, err := misconfigured(p, err)
			if err != nil {
				return nil, err
			}
			banks = append(banks, bank)
			continue
		}
		if o.Environment == config.Simulated {
			if err := s.simulate(ctx, p, &o); err != nil {
				return nil, err
			}
		}
		o.Transport, o.UserAgent = transport, agent
		if s.observer != nil {
			o.Observe = func(ctx context.Context, status int, took time.Duration) {
				s.observer.exchange(ctx, p.Name, status, took)
			}
		}
		client, err := providers.New(p, o)
		if err != nil {
			return nil, err
		}
		banks = append(banks, tools.Bank{Client: client, Missing: missing, Simulated: o.Environment == config.Simulated})
	}
	return banks, nil
}

// misconfigured is a bank with a wrong setting of its own: it is listed, and each
// call of it says what is wrong. A server that did not start would only show
// as disconnected in its host.
func misconfigured(p *schema.Provider, wrong error) (tools.Bank, error) {
	client, err := providers.New(p, providers.Options{})
	return tools.Bank{Client: client, Fault: fault.From(wrong)}, err
}

// clientOptions says how p is reached, and which variables are missing. Where
// it is simulated, the address and the credentials are still to be put in.
func clientOptions(env config.Environment, settings config.Settings, p *schema.Provider) (providers.Options, []string, error) {
	if settings.Simulate {
		return providers.Options{Environment: config.Simulated}, nil, nil
	}
	set, err := env.Provider(p.Name, environmentsOf(p)...)
	if err != nil {
		return providers.Options{}, nil, err
	}
	o := providers.Options{Environment: set.Environment, BaseURL: set.BaseURL, ClientID: secret.New(set.ClientID), ClientSecret: set.ClientSecret,
		PrivateKey: func() secret.Value { return set.PrivateKey }}
	variable := config.Prefix(p.Name) + "_ENVIRONMENT"
	switch _, has := p.Environment(set.Environment); {
	case set.Environment == config.Simulated && !simulated(p):
		return providers.Options{}, nil, fault.New(fault.NotConfigured, p.Name+cannotSimulate,
			"set "+variable+" to one of its own environments, or unset it")
	case !has && !env.Has(variable):
		o.Environment = "" // its document knows no sandbox: the first that it names
	}
	return o, set.Missing, nil
}

func environmentsOf(p *schema.Provider) []string {
	var names []string
	for _, e := range p.Environments {
		names = append(names, e.Name)
	}
	return names
}

// simulated reports whether the simulator plays p.
func simulated(p *schema.Provider) bool {
	switch p.Name {
	case simulator.NameFintecture, simulator.NameFlinks, simulator.NameFinAPI:
		return true
	}
	return false
}

// simulate points o at the simulator in this process.
func (s *service) simulate(ctx context.Context, p *schema.Provider, o *providers.Options) error {
	if s.simulator == nil {
		// It must outlive the signal that ends the process: calls under way
		// are still to be answered. close ends it.
		sim, err := simulator.Start(context.WithoutCancel(ctx), simulator.Options{})
		if err != nil {
			return fault.New(fault.Internal, "the simulator cannot listen on this machine's loopback address",
				"allow the program to listen on 127.0.0.1, or start without --simulate").Because(err)
		}
		s.simulator = sim
	}
	bank := s.simulator.Bank(p.Name)
	o.BaseURL, o.ClientID, o.ClientSecret = bank.URL(), secret.New(bank.ClientID()), bank.ClientSecret()
	o.PrivateKey = bank.PrivateKey
	return nil
}

// openVault opens the vault on first use.
func (s *service) openVault(ctx context.Context) (*vault.Vault, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.vault != nil {
		return s.vault, nil
	}
	o, err := vaultOptions(s.env, s.settings)
	if err != nil {
		return nil, err
	}
	v, err := vault.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	s.vault = v
	return v, nil
}

// vaultOptions says where the vault is and what opens it.
func vaultOptions(env config.Environment, settings config.Settings) (vault.Options, error) {
	if settings.Simulate && settings.DataDir == "" {
		return vault.Options{Ephemeral: true}, nil
	}
	dir, _, err := env.DataDir(settings)
	if err != nil {
		return vault.Options{}, err
	}
	if err := settings.ReadSecrets(env); err != nil {
		return vault.Options{}, err
	}
	return vault.Options{Dir: dir, Store: settings.Store, Key: vaultKey(env, settings)}, nil
}

// close waits for the exchanges under way, writes what the vault has not
// written yet, and ends the simulator.
func (s *service) close() error {
	s.mu.Lock()
	v := s.vault
	s.mu.Unlock()
	var err error
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	if s.consents != nil {
		err = s.consents.Close(ctx)
	}
	if v != nil {
		err = errors.Join(err, v.Close(ctx))
	}
	if s.simulator != nil {
		err = errors.Join(err, s.simulator.Close())
	}
	return err
}
