package main

import (
	"bufio"
	"context"
	"fmt"

	"bankauth/internal/config"
	"bankauth/internal/fault"
	"bankauth/internal/simulator"
)

type simulateCommand struct {
	FintecturePort int `default:"0" placeholder:"PORT" group:"Ports" help:"Port of Fintecture; 0: any free one."`
	FlinksPort     int `default:"0" placeholder:"PORT" group:"Ports" help:"Port of Flinks; 0: any free one."`
	FinAPIPort     int `name:"finapi-port" default:"0" placeholder:"PORT" group:"Ports" help:"Port of finAPI; 0: any free one."`

	simulator.Switches `embed:"" group:"What the providers' documents leave open"`
}

// Help is what kong prints below the summary.
func (c *simulateCommand) Help() string {
	return "Tests set faults below /_simulator/ on each port: docs/simulator.md."
}

// check refuses values that kong takes and no provider could have.
func (c *simulateCommand) check() error {
	const see = "; see `bankauth simulate --help`"
	for _, p := range []struct {
		flag string
		port int
	}{{"--fintecture-port", c.FintecturePort}, {"--flinks-port", c.FlinksPort}, {"--finapi-port", c.FinAPIPort}} {
		if p.port < 0 || p.port > 65535 {
			return misuse(p.flag + " must be a port, 1 to 65535, or 0 for any free one" + see)
		}
	}
	if flag := c.Negative(); flag != "" {
		return misuse("--" + flag + " must not be negative" + see)
	}
	return nil
}

// Run serves until a signal comes. The variables with which bankauth finds
// the simulator are on stdout before the first request is served.
func (c *simulateCommand) Run(ctx context.Context, p *process) error {
	if err := c.check(); err != nil {
		return err
	}
	s, err := simulator.Start(ctx, simulator.Options{Switches: c.Switches, Ports: map[string]int{
		simulator.NameFintecture: c.FintecturePort, simulator.NameFlinks: c.FlinksPort, simulator.NameFinAPI: c.FinAPIPort}})
	if err != nil {
		return fault.New(fault.Internal, "the simulator cannot listen on its ports",
			"name ports that are free, with --fintecture-port and the like, or none").Because(err)
	}
	out := bufio.NewWriter(p.out)
	for _, v := range variables(s) {
		fmt.Fprintln(out, v)
	}
	if err := out.Flush(); err != nil {
		_ = s.Close()
		return exit(exitFailed) // nobody can learn where it listens
	}
	<-ctx.Done()
	return s.Close()
}

// variables returns NAME=value for all that bankauth must know to take s for
// the providers. The credentials are made up and open nothing else.
func variables(s *simulator.Simulator) []string {
	var all []string
	for _, b := range s.Banks() {
		prefix := config.Prefix(b.Name)
		all = append(all, prefix+"_BASE_URL="+b.URL(), prefix+"_CLIENT_ID="+b.ClientID(), prefix+"_CLIENT_SECRET="+b.ClientSecret().Reveal())
		if b.Name == simulator.NameFintecture {
			all = append(all, prefix+"_PRIVATE_KEY="+b.PrivateKey().Reveal())
		}
	}
	return all
}
