package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"bankauth/internal/config"
	"bankauth/tools"
)

type callCommand struct {
	config.Settings `embed:""`

	Explain   bool     `help:"Send nothing; print the request to the provider as a curl line, its secrets masked."`
	Tool      string   `arg:"" complete:"create_access_token,refresh_token,create_user" help:"create_access_token, refresh_token or create_user."`
	Arguments []string `arg:"" optional:"" name:"name=value" help:"The tool's arguments. name=@FILE takes the value from a file, name=- from stdin: a secret need not stand in the command line."`
}

// Help is what kong prints below the summary.
func (c *callCommand) Help() string {
	return "Ends with 0 when the tool did its work, 1 when it answered with an error, 2 when the command line or a setting is wrong. " +
		"The result is JSON on stdout either way.\n\n" +
		"Example:\n\n  bankauth call --simulate create_access_token provider=flinks grant_type=client_credentials"
}

// flagsFirst puts the flags of `call` before its arguments: kong takes no
// argument more once a flag has come between them.
func flagsFirst(parser *kong.Kong, args []string) []string {
	i := slices.IndexFunc(parser.Model.Children, func(n *kong.Node) bool { return n.Name == "call" })
	if i < 0 || len(args) == 0 || args[0] != "call" {
		return args
	}
	wantsValue := map[string]bool{}
	for _, group := range parser.Model.Children[i].AllFlags(false) {
		for _, f := range group {
			wantsValue["--"+f.Name] = !f.IsBool()
		}
	}
	flags, rest := []string{"call"}, []string(nil)
	for i := 1; i < len(args); i++ {
		switch {
		case args[i] == "--":
			return slices.Concat(flags, []string{"--"}, rest, args[i+1:])
		case !strings.HasPrefix(args[i], "-") || args[i] == "-":
			rest = append(rest, args[i])
		case wantsValue[args[i]] && i+1 < len(args):
			flags = append(flags, args[i], args[i+1])
			i++
		default:
			flags = append(flags, args[i])
		}
	}
	return append(flags, rest...)
}

// Run makes the call.
func (c *callCommand) Run(ctx context.Context, p *process) error {
	s, err := newService(ctx, p, c.Settings)
	if err != nil {
		return err
	}
	return errors.Join(c.call(ctx, p, s), s.close())
}

func (c *callCommand) call(ctx context.Context, p *process, s *service) error {
	tool, err := c.tool(s.tools.Tools())
	if err != nil {
		return err
	}
	args, err := c.arguments(p, tool)
	if err != nil {
		return err
	}
	if c.Explain {
		lines, err := s.tools.Explain(ctx, tools.Local, tool.Name, args)
		if err == nil {
			_, err = fmt.Fprintln(p.out, lines)
		}
		return err
	}
	r := c.patiently(ctx, p, s.tools, tool.Name, args)
	if _, err := fmt.Fprintf(p.out, "%s\n", r.JSON); err != nil {
		return exit(exitFailed)
	}
	if r.IsError {
		return exit(exitFailed)
	}
	return nil
}

// patiently makes the call, and where a person has to consent waits for them:
// the way back leads to this process.
func (c *callCommand) patiently(ctx context.Context, p *process, set *tools.Set, tool string, args map[string]any) tools.Result {
	r := set.Call(ctx, tools.Local, tool, args)
	url, ref := r.Consent()
	if url == "" {
		return r
	}
	fmt.Fprintf(p.err, "bankauth: open this page in a browser on this machine, and consent:\n  %s\n", url)
	args["consent_ref"] = ref
	for url != "" && ctx.Err() == nil {
		r = set.Call(ctx, tools.Local, tool, args)
		url, _ = r.Consent()
	}
	return r
}

func (c *callCommand) tool(all []tools.Tool) (tools.Tool, error) {
	var names []string
	for _, t := range all {
		if t.Name == c.Tool {
			return t, nil
		}
		names = append(names, t.Name)
	}
	return tools.Tool{}, misuse("there is no such tool; the tools are " + strings.Join(names, ", "))
}

// largest bounds a value that is read from a file or from stdin, in bytes.
const largest = 64 << 10

// arguments reads name=value as the tool's input schema has them.
func (c *callCommand) arguments(p *process, tool tools.Tool) (map[string]any, error) {
	var input struct {
		Properties map[string]struct {
			Type string `json:"type"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(tool.Input, &input); err != nil {
		return nil, fmt.Errorf("reading the input schema of %q: %w", tool.Name, err)
	}
	args := map[string]any{}
	for _, given := range c.Arguments {
		name, value, ok := strings.Cut(given, "=")
		if !ok || name == "" {
			return nil, misuse("an argument is not of the form name=value; see `bankauth call --help`")
		}
		if _, has := input.Properties[name]; !has && !looksLikeName(name) {
			return nil, misuse("an argument is none of " + tool.Name + "; see `bankauth call --help`")
		}
		if _, twice := args[name]; twice {
			return nil, misuse("an argument is there twice; give each once")
		}
		value, err := fetch(p, value)
		if err != nil {
			return nil, err
		}
		args[name] = typed(input.Properties[name].Type, value)
	}
	return args, nil
}

// looksLikeName reports whether the tool's refusal may repeat a name that it
// does not have. A secret that was typed as an argument of its own may be cut
// at the = signs with which base64 ends.
func looksLikeName(name string) bool {
	return len(name) <= 20 && !strings.ContainsFunc(name, func(r rune) bool {
		return r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// fetch returns the value, or what stands in the file or on stdin that it
// names, without the newline at its end.
func fetch(p *process, value string) (string, error) {
	from, path := p.in, ""
	switch {
	case value == "-":
	case strings.HasPrefix(value, "@"):
		path = value[1:]
		f, err := os.Open(path)
		if err != nil {
			return "", misuse("a file that an argument names cannot be opened; give name=@FILE with a file that you may read")
		}
		defer f.Close()
		from = f
	default:
		return value, nil
	}
	b, err := io.ReadAll(io.LimitReader(from, largest+1))
	if err != nil || len(b) > largest {
		return "", misuse("a value cannot be read, or is larger than 64 KiB")
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// typed gives a value the type of the schema. One that does not fit stays a
// text, and the tool says so in its own words.
func typed(kind, value string) any {
	switch kind {
	case "boolean":
		if i := slices.Index([]string{"false", "true"}, strings.ToLower(value)); i >= 0 {
			return i == 1
		}
	case "integer", "number":
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			return n
		}
	}
	return value
}
