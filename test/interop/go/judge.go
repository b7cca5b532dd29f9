package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/formats/proof"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func openKeys(claimed Log) (keys, error) {
	verifier, err := note.NewVerifier(claimed.Vkey)
	if err != nil {
		return keys{}, fmt.Errorf("%s: %w", claimed.Vkey, err)
	}
	opened := keys{origin: claimed.Origin, log: verifier}
	for _, vkey := range claimed.WitnessVkeys {
		witness, err := fnote.NewVerifierForCosignatureV1(vkey)
		if err != nil {
			return keys{}, fmt.Errorf("%s: %w", vkey, err)
		}
		// The library computes the key id and does not look at the one that is written.
		if !strings.HasPrefix(vkey, fmt.Sprintf("%s+%08x+", witness.Name(), witness.KeyHash())) {
			return keys{}, fmt.Errorf("%s: the key id is not that of the key", vkey)
		}
		opened.witnesses = append(opened.witnesses, witness)
	}
	return opened, nil
}

// open verifies a signed checkpoint and gives its head and the witnesses' cosignatures, in the order of their lines.
func (k keys) open(text []byte) (tlog.Tree, []Cosignature, error) {
	checkpoint, rest, opened, err := log.ParseCheckpoint(text, k.origin, k.log, k.witnesses...)
	if err != nil {
		return tlog.Tree{}, nil, err
	}
	if len(rest) > 0 || len(checkpoint.Hash) != tlog.HashSize {
		return tlog.Tree{}, nil, fmt.Errorf("extension lines %q or a root of %d bytes", rest, len(checkpoint.Hash))
	}
	cosignatures := []Cosignature{}
	for _, signature := range opened.Sigs {
		if signature.Name == k.log.Name() && signature.Hash == k.log.KeyHash() {
			continue
		}
		time, err := fnote.CoSigV1Timestamp(signature)
		if err != nil {
			return tlog.Tree{}, nil, err
		}
		cosignatures = append(cosignatures, Cosignature{Name: signature.Name, TimeS: time.Unix()})
	}
	return tlog.Tree{N: int64(checkpoint.Size), Hash: tlog.Hash(checkpoint.Hash)}, cosignatures, nil
}

func (k keys) judgeHead(h Head) error {
	tree, cosignatures, err := k.open(h.Note)
	if err != nil {
		return err
	}
	if tree.N != h.Size || tree.Hash != h.Root {
		return fmt.Errorf("size %d and root %v instead of %d and %v", tree.N, tree.Hash, h.Size, h.Root)
	}
	if !slices.Equal(cosignatures, h.Cosignatures) {
		return fmt.Errorf("cosignatures %v instead of %v", cosignatures, h.Cosignatures)
	}
	return nil
}

func judgeInclusion(c Inclusion) error {
	return tlog.CheckRecord(c.Hashes, c.Size, c.Root, c.Index, c.LeafHash)
}

func judgeConsistency(c Consistency) error {
	return tlog.CheckTree(c.Hashes, c.Size, c.Root, c.SizeBefore, c.RootBefore)
}

func (k keys) judgeReceipt(c Receipt) error {
	var receipt proof.TLogProof
	if err := receipt.Unmarshal(c.File); err != nil {
		return err
	}
	tree, cosignatures, err := k.open(receipt.Checkpoint)
	if err != nil {
		return err
	}
	if len(cosignatures) != len(k.witnesses) {
		return fmt.Errorf("%d of %d witnesses have cosigned", len(cosignatures), len(k.witnesses))
	}
	if !bytes.Equal(receipt.ExtraData, c.Entry) {
		return fmt.Errorf("the extra data is not the entry")
	}
	hashes := make([]tlog.Hash, len(receipt.Hashes))
	for i, hash := range receipt.Hashes {
		hashes[i] = hash
	}
	return tlog.CheckRecord(hashes, tree.N, tree.Hash, int64(receipt.Index), tlog.RecordHash(receipt.ExtraData))
}
