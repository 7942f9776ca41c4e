package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"bankauth/internal/auth"
	"bankauth/internal/config"
)

type clientsCommand struct {
	Add    clientsAddCommand    `cmd:"" help:"Add a client and print its token, this once. A running server knows it at once."`
	List   clientsListCommand   `cmd:"" help:"List the clients; no token is shown, because none is kept."`
	Remove clientsRemoveCommand `cmd:"" help:"Remove a client. A running server refuses its token at once; its records stay."`
}

type clientsAddCommand struct {
	config.Settings `embed:""`
	config.Access   `embed:""`

	JSON  bool     `name:"json" help:"Print JSON."`
	Scope []string `name:"scope" sep:"none" placeholder:"SCOPE" help:"What the client may do: tokens:create, tokens:refresh, users:create, tokens:use; several with commas or again. Default: all."`
	Name  string   `arg:"" help:"Its name. What it stores belongs to this name."`
}

type clientsListCommand struct {
	config.Settings `embed:""`
	config.Access   `embed:""`

	JSON bool `name:"json" help:"Print JSON."`
}

type clientsRemoveCommand struct {
	config.Settings `embed:""`
	config.Access   `embed:""`

	Name string `arg:"" help:"Its name."`
}

// clientAbout is what the command line says of a client.
type clientAbout struct {
	Name    string   `json:"name"`
	Scopes  []string `json:"scopes"`
	Created string   `json:"created"`
}

func aboutClient(c auth.Client) clientAbout {
	return clientAbout{Name: c.Name, Scopes: c.Scopes, Created: c.Created.UTC().Format(time.RFC3339)}
}

// clientsOf returns the clients of the file that the settings name.
func clientsOf(env config.Environment, s config.Settings, a config.Access) (*auth.Clients, error) {
	path, _, err := env.ClientsFile(s, a)
	if err != nil {
		return nil, err
	}
	return auth.NewClients(path), nil
}

// adding is the command that adds a client where these settings look for one.
func adding(s config.Settings, a config.Access) string {
	const command = "bankauth clients add NAME"
	switch {
	case a.ClientsFile != "":
		return command + " --clients-file " + shellWord(a.ClientsFile)
	case s.DataDir != "":
		return command + " --data-dir " + shellWord(s.DataDir)
	}
	return command
}

// shellWord quotes what a shell would not take as one word.
func shellWord(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:,+@%") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// scopes returns those that --scope names; without the flag there are none. A
// name that is empty is no wish for all of them.
func (c *clientsAddCommand) scopes() ([]string, error) {
	var all []string
	for _, given := range c.Scope {
		for name := range strings.SplitSeq(given, ",") {
			if name = strings.TrimSpace(name); name == "" {
				return nil, misuse("--scope needs a value: one or several of " + strings.Join(auth.Scopes(), ", ") + "; leave it out for all")
			}
			all = append(all, name)
		}
	}
	return all, nil
}

// Run adds a client. Its token alone goes to stdout, so that a script can take it.
func (c *clientsAddCommand) Run(ctx context.Context, p *process) error {
	all, err := clientsOf(p.env, c.Settings, c.Access)
	if err != nil {
		return err
	}
	scopes, err := c.scopes()
	if err != nil {
		return err
	}
	token, err := all.Add(ctx, c.Name, scopes)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(p, map[string]string{"name": c.Name, "token": token.Reveal()})
	}
	fmt.Fprintf(p.err, "The token of %s is shown this once; %s keeps its hash. Send it as Authorization: Bearer.\n", c.Name, all.Path())
	fmt.Fprintln(p.out, token.Reveal())
	return nil
}

// Run lists the clients.
func (c *clientsListCommand) Run(_ context.Context, p *process) error {
	all, err := clientsOf(p.env, c.Settings, c.Access)
	if err != nil {
		return err
	}
	known, err := all.List()
	switch {
	case err != nil:
		return err
	case c.JSON:
		about := []clientAbout{}
		for _, k := range known {
			about = append(about, aboutClient(k))
		}
		return printJSON(p, about)
	case len(known) == 0:
		fmt.Fprintf(p.out, "There is no client. Try `%s`.\n", adding(c.Settings, c.Access))
		return nil
	}
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tSCOPES\tCREATED")
	for _, k := range known {
		a := aboutClient(k)
		fmt.Fprintf(w, "%s\t%s\t%s\n", a.Name, strings.Join(a.Scopes, " "), a.Created)
	}
	return w.Flush()
}

// Run removes a client.
func (c *clientsRemoveCommand) Run(ctx context.Context, p *process) error {
	all, err := clientsOf(p.env, c.Settings, c.Access)
	if err != nil {
		return err
	}
	if err := all.Remove(ctx, c.Name); err != nil {
		return err
	}
	fmt.Fprintf(p.out, "%s is removed; its token is refused from now on.\n", c.Name)
	return nil
}
