// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package completion writes completion scripts for the commands of this project
// from their own descriptions, so that a new flag is offered at once.
package completion

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Cmd is the command that prints the script. Its program's name must be one
// that a shell types.
type Cmd struct {
	Shell string `arg:"" help:"bash, zsh or fish." enum:"bash,zsh,fish"`
}

// Run prints the script.
func (k *Cmd) Run(app *kong.Kong) error {
	words, name := wordsOf(app.Model.Node, ""), app.Model.Name
	switch k.Shell {
	case "bash":
		completeBash(os.Stdout, name, words)
	case "zsh":
		// zsh reads bash's kind of script once bashcompinit has run.
		fmt.Printf("#compdef %s\n", name)
		fmt.Println("autoload -U +X bashcompinit && bashcompinit")
		completeBash(os.Stdout, name, words)
	default:
		completeFish(os.Stdout, name, words)
	}
	return nil
}

// place is what can follow at one place of the command line.
type place struct {
	path string // of commands, such as "keys create"
	// commands and choices of arguments, and flags, in their order.
	commands, flags []word
}

type word struct {
	text, help string
	value      bool // a flag that a value follows
}

// wordsOf walks the commands below a node.
func wordsOf(n *kong.Node, path string) []place {
	p := place{path: path}
	for _, group := range n.AllFlags(true) {
		for _, f := range group {
			p.flags = append(p.flags, word{"--" + f.Name, f.Help, !f.IsBool()})
		}
	}
	for _, a := range n.Positional {
		for _, choice := range a.EnumSlice() {
			p.commands = append(p.commands, word{text: choice})
		}
	}
	out := []place{p}
	for _, child := range n.Children {
		out[0].commands = append(out[0].commands, word{text: child.Name, help: child.Help})
		out = append(out, wordsOf(child, strings.TrimSpace(path+" "+child.Name))...)
	}
	return out
}

func texts(words []word, keep func(word) bool) string {
	var out []string
	for _, w := range words {
		if keep(w) && !slices.Contains(out, w.text) {
			out = append(out, w.text)
		}
	}
	return strings.Join(out, " ")
}

func all(word) bool      { return true }
func valued(w word) bool { return w.value }

// completeBash writes a function that walks the words before the cursor to the
// command they name, and offers what follows there.
func completeBash(w io.Writer, name string, places []place) {
	f := "_" + strings.ReplaceAll(name, "-", "_")
	var every []word
	for _, p := range places {
		every = append(every, p.flags...)
	}
	fmt.Fprintf(w, "%s() {\n", f)
	fmt.Fprintf(w, "  local cur=${COMP_WORDS[COMP_CWORD]} at= i\n")
	fmt.Fprintf(w, "  local valued=%q\n", " "+texts(every, valued)+" ")
	fmt.Fprintf(w, "  COMPREPLY=()\n")
	fmt.Fprintf(w, "  if [[ $valued == *\" ${COMP_WORDS[COMP_CWORD-1]} \"* ]]; then COMPREPLY=($(compgen -f -- \"$cur\")); return; fi\n")
	fmt.Fprintf(w, "  for ((i = 1; i < COMP_CWORD; i++)); do\n")
	fmt.Fprintf(w, "    if [[ $valued == *\" ${COMP_WORDS[i]} \"* ]]; then ((i++)); continue; fi\n")
	fmt.Fprintf(w, "    case \"$at ${COMP_WORDS[i]}\" in\n")
	for _, p := range places[1:] {
		fmt.Fprintf(w, "      %q) at=%q ;;\n", spaced(p.path), spaced(p.path))
	}
	fmt.Fprintf(w, "    esac\n  done\n")
	fmt.Fprintf(w, "  case \"$at\" in\n")
	for _, p := range places {
		fmt.Fprintf(w, "    %q) COMPREPLY=($(compgen -W %q -- \"$cur\")) ;;\n", spaced(p.path),
			strings.TrimSpace(texts(p.commands, all)+" "+texts(p.flags, all)))
	}
	fmt.Fprintf(w, "  esac\n}\ncomplete -o default -F %s %s\n", f, name)
}

// spaced puts a space before each command of a path.
func spaced(path string) string {
	if path == "" {
		return ""
	}
	return " " + path
}

// completeFish writes one rule for each word that can follow.
func completeFish(w io.Writer, name string, places []place) {
	fmt.Fprintf(w, "complete -c %s -f\n", name)
	global := places[0].flags
	for _, f := range global {
		fishFlag(w, name, "", f)
	}
	for _, p := range places {
		cond := "__fish_use_subcommand"
		if p.path != "" {
			var seen []string
			for _, command := range strings.Fields(p.path) {
				seen = append(seen, "__fish_seen_subcommand_from "+command)
			}
			cond = strings.Join(seen, "; and ")
		}
		for _, c := range p.commands {
			fmt.Fprintf(w, "complete -c %s -n %s -a %s -d %s\n", name, quote(cond), c.text, quote(c.help))
		}
		if p.path == "" {
			continue
		}
		for _, f := range p.flags {
			if !slices.Contains(global, f) {
				fishFlag(w, name, cond, f)
			}
		}
	}
}

func fishFlag(w io.Writer, name, cond string, f word) {
	fmt.Fprintf(w, "complete -c %s", name)
	if cond != "" {
		fmt.Fprintf(w, " -n %s", quote(cond))
	}
	if f.value {
		fmt.Fprint(w, " -r -F")
	}
	fmt.Fprintf(w, " -l %s -d %s\n", strings.TrimPrefix(f.text, "--"), quote(f.help))
}

// quote writes a word in single quotes for fish.
func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}
