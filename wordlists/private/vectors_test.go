// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package private

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/cloudflare/circl/oprf"
	"github.com/cloudflare/circl/zk/dleq"
)

// TestVectors runs those of RFC 9497, A.1.2: ristretto255-SHA512 in the
// verifiable mode.
func TestVectors(t *testing.T) {
	unhex := func(s string) (out [][]byte) {
		for one := range strings.SplitSeq(s, ",") {
			b, err := hex.DecodeString(one)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, b)
		}
		return out
	}
	const (
		blind1, blind2     = "64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706", "222a5e897cf59db8145db8d16e597e8facb80ae7d4e26d9881aa6f61d645fc0e"
		input1, input2     = "00", "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"
		blinded1           = "863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945"
		evaluated1         = "aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e"
		output1, output2   = "b58cfbe118e0cb94d79b5fd6a6dafb98764dff49c14e1770b566e42402da1a7da4d8527693914139caee5bd03903af43a491351d23b430948dd50cde10d32b3c", "8a9a2f3c7f085b65933594309041fc1898d42d0858e59f90814ae90571a6df60356f4610bf816f27afdd84f47719e480906d27ecd994985890e5f539e7ea74b6"
		publicKey          = "c803e2cc6b05fc15064549b5920659ca4a77b2cca6f04f6b357009335476ad4e"
		seed, info, secret = "a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3", "test key", "e6f73f344b79b379f1a0dd37e07ff62e38d9f71345ce62ae3a9bc60b04ccd909"
	)
	derived, err := oprf.DeriveKey(suite, oprf.VerifiableMode, unhex(seed)[0], []byte(info))
	if err != nil {
		t.Fatal(err)
	}
	k, err := ParseKey([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	if d := usable(derived); string(d.Text()) != secret+"\n" || hex.EncodeToString(k.public()) != publicKey {
		t.Fatalf("key %s of %x", d.Text(), k.public())
	}
	for name, v := range map[string]struct{ input, blind, blinded, evaluated, proof, random, output string }{
		"1": {input1, blind1, blinded1, evaluated1,
			"ddef93772692e535d1a53903db24367355cc2cc78de93b3be5a8ffcc6985dd066d4346421d17bf5117a2a1ff0fcb2a759f58a539dfbe857a40bce4cf49ec600d", blind2, output1},
		"2": {input2, blind1, "cc0b2a350101881d8a4cba4c80241d74fb7dcbfde4a61fde2f91443c2bf9ef0c", "60a59a57208d48aca71e9e850d22674b611f752bed48b36f7a91b372bd7ad468",
			"401a0da6264f8cf45bb2f5264bc31e109155600babb3cd4e5af7d181a2c9dc0a67154fabf031fd936051dec80b0b6ae29c9503493dde7393b722eafdf5a50b02", blind2, output2},
		"batch": {input1 + "," + input2, blind1 + "," + blind2, blinded1 + ",90a0145ea9da29254c3a56be4fe185465ebb3bf2a1801f7124bbbadac751e654",
			evaluated1 + ",cc5ac221950a49ceaa73c8db41b82c20372a4c8d63e5dded2db920b7eee36a2a",
			"cc203910175d786927eeb44ea847328047892ddf8590e723c37205cb74600b0a5ab5337c8eb4ceae0494c2cf89529dcf94572ed267473d567aeed6ab873dee08",
			"419c4f4f5052c53c45f3da494d2b67b220d02118e0857cdbcf037f9ea84bbe0c", output1 + "," + output2},
	} {
		var blinds []oprf.Blind
		for _, b := range unhex(v.blind) {
			s := suite.Group().NewScalar()
			if err := s.UnmarshalBinary(b); err != nil {
				t.Fatal(err)
			}
			blinds = append(blinds, s)
		}
		client, server := oprf.NewVerifiableClient(suite, k.k.Public()), oprf.NewVerifiableServer(suite, k.k)
		kept, request, err := client.DeterministicBlind(unhex(v.input), blinds)
		if err != nil {
			t.Fatal(err)
		}
		same := func(what string, got [][]byte, want string) {
			t.Helper()
			var all []string
			for _, b := range got {
				all = append(all, hex.EncodeToString(b))
			}
			if s := strings.Join(all, ","); s != want {
				t.Errorf("vector %s: %s %s, want %s", name, what, s, want)
			}
		}
		b, err := encode(request.Elements)
		if err != nil {
			t.Fatal(err)
		}
		same("blinded", b, v.blinded)
		e, err := server.Evaluate(request)
		if err != nil {
			t.Fatal(err)
		}
		if b, err = encode(e.Elements); err != nil {
			t.Fatal(err)
		}
		same("evaluated", b, v.evaluated)

		// The proof of the text is of a random number that is given there.
		random := suite.Group().NewScalar()
		if err := random.UnmarshalBinary(unhex(v.random)[0]); err != nil {
			t.Fatal(err)
		}
		secretScalar := suite.Group().NewScalar()
		if err := secretScalar.UnmarshalBinary(unhex(secret)[0]); err != nil {
			t.Fatal(err)
		}
		public := suite.Group().NewElement().MulGen(secretScalar)
		prover := dleq.Prover{Params: dleq.Params{G: suite.Group(), H: suite.Hash(), DST: []byte("OPRFV1-\x01-" + suite.Identifier())}}
		proof, err := prover.ProveBatchWithRandomnessRFC9497(secretScalar, public, request.Elements, e.Elements, random)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := proof.MarshalBinary(); err != nil {
			t.Fatal(err)
		} else {
			same("proof", [][]byte{b}, v.proof)
		}
		given := new(dleq.Proof)
		if err := given.UnmarshalBinary(suite.Group(), unhex(v.proof)[0]); err != nil {
			t.Fatal(err)
		}
		outputs, err := client.Finalize(kept, &oprf.Evaluation{Elements: e.Elements, Proof: given})
		if err != nil {
			t.Fatalf("vector %s: %v", name, err)
		}
		same("output", outputs, v.output)
		for i, input := range unhex(v.input) {
			direct, err := server.FullEvaluate(input)
			if err != nil {
				t.Fatal(err)
			}
			same("direct output", [][]byte{direct}, strings.Split(v.output, ",")[i])
		}
	}
}
