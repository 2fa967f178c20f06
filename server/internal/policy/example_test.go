// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy_test

import (
	"fmt"

	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
)

func Example() {
	p, err := policy.Parse("acme", []byte(`
extends: nist-800-63b-4
version: 1
rules:
  history: {depth: 3, clauses: [Acme house rule 12]}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := password.New("Zhangwei@1990")
	if err != nil {
		fmt.Println(err)
		return
	}
	v := p.Judge(text, policy.MultiFactor, policy.Change,
		policy.Context{Names: []string{"张伟"}}, policy.Evidence{HistoryHit: true})
	for _, x := range v.Violations {
		fmt.Println(x.Rule, x.Clauses[0])
		fmt.Println("  " + policy.Message("en", x))
		fmt.Println("  " + policy.Message("zh-CN", x))
	}
	// Output:
	// CONTEXT_DERIVED NIST SP 800-63B-4 3.1.1.2 (N10)
	//   The password is made from your name.
	//   密码由您的姓名变化而来。
	// REUSED Acme house rule 12
	//   This is one of your last 3 passwords.
	//   该密码与最近 3 个用过的密码之一相同。
}
