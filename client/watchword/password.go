// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/watchword-project/watchword/client"
)

// judgeFlags say by what and for whom a password is judged.
type judgeFlags struct {
	Policy      string   `help:"Policy to judge by."`
	MultiFactor bool     `help:"A second factor stands beside the password."`
	Locale      string   `help:"Language of the messages: en or zh-CN." enum:"en,zh-CN" default:"en"`
	Login       string   `help:"Login name of the person."`
	Email       []string `help:"An e-mail address of the person." sep:"none"`
	Name        []string `help:"A name of the person." sep:"none"`
	Phone       []string `help:"A phone number of the person." sep:"none"`
	BirthDate   string   `help:"Birth date of the person, YYYY-MM-DD."`
	Word        []string `help:"A name of the service or organisation." sep:"none"`
}

func (j judgeFlags) options() client.CheckOptions {
	return client.CheckOptions{Policy: j.Policy, MultiFactor: j.MultiFactor, Locale: j.Locale, Person: client.Person{
		Login: j.Login, Emails: j.Email, Names: j.Name, Phones: j.Phone, BirthDate: j.BirthDate, Words: j.Word}}
}

// sourceFlags say where a login comes from.
type sourceFlags struct {
	IP              string `help:"Address of the person; without it, limits by address are skipped." name:"ip"`
	UserAgent       string `help:"What the person's program calls itself."`
	DeviceTokenFile string `help:"File that holds the device's token." type:"path"`
	ChallengePassed bool   `help:"The person has solved the challenge that an earlier attempt was answered with."`
}

func (s sourceFlags) source() (client.Source, error) {
	out := client.Source{IP: s.IP, UserAgent: s.UserAgent, ChallengePassed: s.ChallengePassed}
	if s.DeviceTokenFile != "" {
		b, err := os.ReadFile(s.DeviceTokenFile)
		if err != nil {
			return out, fmt.Errorf("device token: %w", err)
		}
		out.DeviceToken = strings.TrimSpace(string(b))
	}
	return out, nil
}

type checkCmd struct {
	secretFlags
	judgeFlags
}

func (k *checkCmd) Run(ctx context.Context, c *cli) error {
	secrets, err := k.read("Password: ")
	if err != nil {
		return err
	}
	return c.ask(func(s *client.Client) error {
		j, err := s.Check(ctx, secrets[0], k.options())
		if err != nil {
			return err
		}
		j.Proof = "" // as good as the password to whoever may set it
		if err := c.print(j, func() { printJudgement(os.Stdout, j) }); err != nil {
			return err
		}
		if !j.Accepted {
			return &no{exitNo}
		}
		return nil
	})
}

func printJudgement(w io.Writer, j client.Judgement) {
	verdict := "rejected"
	if j.Accepted {
		verdict = "accepted"
	}
	fmt.Fprintf(w, "%s by %s\n", verdict, j.Policy)
	printViolations(w, j.Violations, j.Advice)
	fmt.Fprintf(w, "strength: %d of 4, about 10^%.1f guesses\n", j.Strength.Score, j.Strength.GuessesLog10)
	switch {
	case j.Breach.Status == "SKIPPED":
	case j.Breach.Found:
		fmt.Fprintf(w, "breaches: found, %d times\n", j.Breach.Count)
	case j.Breach.Status == "DEGRADED":
		fmt.Fprintln(w, "breaches: a corpus could not be asked")
	default:
		fmt.Fprintln(w, "breaches: not found")
	}
}

func printViolations(w io.Writer, violations []client.Violation, advice []string) {
	for _, v := range violations {
		fmt.Fprintf(w, "- %s (%s)\n", v.Message, strings.Join(append([]string{v.Rule}, v.Clauses...), "; "))
	}
	for _, a := range advice {
		fmt.Fprintf(w, "advice: %s\n", a)
	}
}

type setCmd struct {
	Subject string `arg:"" help:"Account id."`
	secretFlags
	judgeFlags
	MustChange bool    `help:"The password is temporary and has to be changed with the first login."`
	Reset      bool    `help:"The person has proven who they are anew: a disabled credential becomes active."`
	IfVersion  *uint32 `help:"Store only over this version; 0: only when there is none."`
}

func (k *setCmd) Run(ctx context.Context, c *cli) error {
	secrets, err := k.readNew("New password: ")
	if err != nil {
		return err
	}
	return c.ask(func(s *client.Client) error {
		done, err := s.Set(ctx, k.Subject, secrets[0], client.SetOptions{CheckOptions: k.options(),
			MustChange: k.MustChange, Reset: k.Reset, IfVersion: k.IfVersion})
		if err != nil {
			return err
		}
		return c.print(done, func() {
			fmt.Printf("stored, version %d\n", done.Version)
			printPending(done.Pending)
		})
	})
}

type verifyCmd struct {
	Subject string `arg:"" help:"Account id."`
	secretFlags
	sourceFlags
}

func (k *verifyCmd) Run(ctx context.Context, c *cli) error {
	from, err := k.source()
	if err != nil {
		return err
	}
	secrets, err := k.read("Password: ")
	if err != nil {
		return err
	}
	return c.ask(func(s *client.Client) error {
		login, err := s.Verify(ctx, k.Subject, secrets[0], from)
		if err != nil {
			return err
		}
		err = c.print(login, func() {
			switch {
			case login.MustChange:
				fmt.Println("match, and must be changed")
			case login.Match:
				fmt.Println("match")
			default:
				fmt.Println("no match")
			}
			printViolations(os.Stdout, login.Findings, nil)
			printNotify(login.Notify)
		})
		if err == nil && !login.Match {
			return &no{exitNo}
		}
		return err
	})
}

func printNotify(notify []string) {
	for _, n := range notify {
		fmt.Printf("tell the person: %s\n", n)
	}
}

func printPending(pending []string) {
	for _, p := range pending {
		fmt.Printf("not done yet: %s\n", p)
	}
}

type changeCmd struct {
	Subject string `arg:"" help:"Account id."`
	secretFlags
	judgeFlags
	sourceFlags
}

func (k *changeCmd) Run(ctx context.Context, c *cli) error {
	from, err := k.source()
	if err != nil {
		return err
	}
	secrets, err := k.readNew("Current password: ", "New password: ")
	if err != nil {
		return err
	}
	return c.ask(func(s *client.Client) error {
		done, err := s.Change(ctx, k.Subject, secrets[0], secrets[1], from, client.SetOptions{CheckOptions: k.options()})
		if err != nil {
			return err
		}
		err = c.print(done, func() {
			if done.Match {
				fmt.Printf("changed, version %d\n", done.Version)
				printPending(done.Pending)
			} else {
				fmt.Println("no match: nothing was changed")
			}
		})
		if err == nil && !done.Match {
			return &no{exitNo}
		}
		return err
	})
}

type generateCmd struct {
	Kind   string `help:"random, passphrase-en or passphrase-pinyin." enum:"random,passphrase-en,passphrase-pinyin" default:"random"`
	Count  int    `help:"How many, 1 to 100." short:"n" default:"1"`
	Policy string `help:"Policy that they satisfy."`
}

func (k *generateCmd) Run(ctx context.Context, c *cli) error {
	return c.ask(func(s *client.Client) error {
		list, err := s.Generate(ctx, k.Kind, k.Count, k.Policy)
		if err != nil {
			return err
		}
		return c.print(map[string][]string{"passwords": list}, func() {
			for _, p := range list {
				fmt.Println(p)
			}
		})
	})
}
