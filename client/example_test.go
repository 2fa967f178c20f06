// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package client_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/watchword-project/watchword/client"
)

// A signup form asks before it takes a password.
func ExampleClient_Check() {
	c, err := client.New(client.Options{KeyFile: "signup.key"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	j, err := c.Check(context.Background(), "correct horse", client.CheckOptions{
		Person: client.Person{Login: "alice", Emails: []string{"alice@example.org"}},
	})
	if err != nil {
		log.Fatal(err) // no answer: try again, or take nothing
	}
	for _, v := range j.Violations {
		fmt.Println(v.Message)
	}
}

// A login has three kinds of answer: yes or no, not now, and none.
func ExampleClient_Verify() {
	c, err := client.New(client.Options{Addr: "watchword.internal:9443", CAFile: "ca.pem", KeyFile: "login.key"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	login, err := c.Verify(context.Background(), "alice", "what alice typed", client.Source{IP: "203.0.113.7"})
	var denied *client.DeniedError
	switch {
	case errors.As(err, &denied):
		fmt.Println("too many attempts, try again in", denied.RetryAfter.Round(time.Second))
	case err != nil:
		fmt.Println("nobody is let in without an answer:", err)
	case login.MustChange:
		fmt.Println("right, and to be changed first")
	case login.Match:
		fmt.Println("welcome")
	default:
		fmt.Println("wrong")
	}
}

// Set tells why a password was not taken.
func ExampleClient_Set() {
	c, err := client.New(client.Options{KeyFile: "signup.key"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	absent := uint32(0)
	_, err = c.Set(context.Background(), "alice", "what alice chose", client.SetOptions{IfVersion: &absent})
	var rejected *client.RejectedError
	switch {
	case errors.As(err, &rejected):
		fmt.Println(rejected.Advice)
	case errors.Is(err, client.ErrConflict):
		fmt.Println("there is an account of that name")
	case err != nil:
		log.Fatal(err)
	}
}

// A back end that keeps its own hashes reserves the attempt first and settles
// it afterwards. If it dies in between, the attempt stays spent.
func ExampleClient_Begin() {
	c, err := client.New(client.Options{KeyFile: "login.key"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	attempt, err := c.Begin(ctx, "alice", client.Source{IP: "203.0.113.7"}, nil)
	if err != nil {
		log.Fatal(err) // *client.DeniedError: the password is not looked at
	}
	outcome := client.BadSecret
	if right := false; right { // what the back end found out
		outcome = client.Success
	}
	if _, err := attempt.Complete(ctx, outcome); err != nil {
		log.Print(err)
	}
}

// A batch judges a file of passwords without holding it in memory.
func ExampleClient_BatchCheck() {
	c, err := client.New(client.Options{KeyFile: "audit.key"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	lines := bufio.NewScanner(os.Stdin)
	candidates := func(yield func(client.Candidate) bool) {
		for lines.Scan() && yield(client.Candidate{Password: lines.Text()}) {
		}
	}
	weak := 0
	for r, err := range c.BatchCheck(context.Background(), candidates) {
		switch {
		case err != nil:
			log.Fatal(err) // the batch ended here
		case r.Fault != nil:
			fmt.Println("not judged:", r.Fault)
		case !r.Accepted:
			weak++
		}
	}
	fmt.Println(weak, "would be rejected")
}
