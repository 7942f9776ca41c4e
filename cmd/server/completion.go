package main

import (
	"embed"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// What a shell runs to complete a command line. Each script asks this program
// (completeCommand), so that none of them knows a command or a flag.
//
//go:embed completion
var completions embed.FS

type completionCommand struct {
	Shell string `arg:"" complete:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help says how the script is put to use.
func (completionCommand) Help() string {
	return "bash: put 'source <(bankauth completion bash)' into ~/.bashrc.\n\n" +
		"zsh: save it as _bankauth in a folder of $fpath.\n\n" +
		"fish: save it as ~/.config/fish/completions/bankauth.fish."
}

// Run prints the script.
func (c *completionCommand) Run(p *process) error {
	script, err := completions.ReadFile("completion/bankauth." + c.Shell)
	if err != nil {
		return misuse("there is no completion for a shell of that name; there is one for bash, zsh and fish")
	}
	_, err = p.out.Write(script)
	return err
}

type completeCommand struct {
	Words []string `arg:"" optional:"" help:"The command line so far."`
}

// files is the line by which a shell is told to complete the name of a file.
const files = ":files"

// Run prints what may stand in place of the last word, a line each, with a tab
// and its help. It always succeeds: a shell has nobody to tell.
func (c *completeCommand) Run(p *process) error {
	parser, err := newParser(p, nil)
	if err != nil || len(c.Words) == 0 {
		return nil
	}
	for _, s := range suggest(parser.Model.Node, c.Words) {
		if s.help != "" {
			s.word += "\t" + s.help
		}
		fmt.Fprintln(p.out, s.word)
	}
	return nil
}

type candidate struct{ word, help string }

// suggest follows all words but the last through the commands.
func suggest(at *kong.Node, words []string) []candidate {
	last := words[len(words)-1]
	place := 0              // of the argument
	var waiting *kong.Value // a flag that has not got its value
	for _, word := range words[:len(words)-1] {
		switch {
		case word == "--":
			return []candidate{{word: files}}
		case word == "=": // bash takes --flag=value apart
		case waiting != nil:
			waiting = nil
		case strings.HasPrefix(word, "-"):
			name, _, joined := strings.Cut(word, "=")
			if f := flagOf(at, name); f != nil && !joined && !f.IsBool() && !f.IsCounter() {
				waiting = f
			}
		default:
			if child := command(at, word); child != nil {
				at, place = child, 0
			} else {
				place++
			}
		}
	}
	if last == "=" {
		last = ""
	}
	if waiting != nil {
		return starting(last, values(waiting, ""))
	}
	if name, _, joined := strings.Cut(last, "="); joined && strings.HasPrefix(last, "--") {
		if f := flagOf(at, name); f != nil {
			return starting(last, values(f, name+"="))
		}
		return nil
	}
	if strings.HasPrefix(last, "-") {
		return starting(last, flags(at))
	}
	var all []candidate
	for _, child := range at.Children {
		if !child.Hidden {
			all = append(all, candidate{child.Name, child.Help})
		}
	}
	if place < len(at.Positional) {
		all = append(all, values(at.Positional[place], "")...)
	}
	return starting(last, all)
}

func command(at *kong.Node, name string) *kong.Node {
	for _, child := range at.Children {
		if child.Name == name {
			return child
		}
	}
	return nil
}

func flagOf(at *kong.Node, name string) *kong.Value {
	for _, group := range at.AllFlags(true) {
		for _, f := range group {
			if "--"+f.Name == name || f.Short != 0 && "-"+string(f.Short) == name {
				return f.Value
			}
		}
	}
	return nil
}

func flags(at *kong.Node) []candidate {
	var all []candidate
	for _, group := range at.AllFlags(true) {
		for _, f := range group {
			all = append(all, candidate{"--" + f.Name, f.Help})
		}
	}
	return all
}

// values returns what v may be: what it is declared to be one of, or the name
// of a file.
func values(v *kong.Value, before string) []candidate {
	list := v.Enum
	if list == "" {
		list = v.Tag.Get("complete")
	}
	switch list {
	case "":
		return []candidate{{word: files}}
	case "-": // nothing that can be known here
		return nil
	}
	var all []candidate
	for word := range strings.SplitSeq(list, ",") {
		all = append(all, candidate{word: before + strings.TrimSpace(word)})
	}
	return all
}

func starting(with string, all []candidate) []candidate {
	var kept []candidate
	for _, s := range all {
		if s.word == files || strings.HasPrefix(s.word, with) {
			kept = append(kept, s)
		}
	}
	return kept
}
