package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/transparency-dev/formats/proof"
	"golang.org/x/mod/sumdb/tlog"
)

// addProofs adds proofs between all heads and of some entries under each, every one with wrong copies.
func (m *madeLog) addProofs() error {
	var heads []Head
	for _, head := range m.log.Heads {
		if head.Holds {
			heads = append(heads, head)
		}
	}
	for i, head := range heads {
		indexes := []int64{0, 5, 6, head.Size / 2, head.Size - 1}
		slices.Sort(indexes)
		for _, index := range slices.Compact(indexes) {
			if index >= head.Size {
				continue
			}
			if err := m.addInclusion(head, index); err != nil {
				return err
			}
		}
		for _, before := range heads[:i] {
			if err := m.addConsistency(before, head); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *madeLog) addInclusion(head Head, index int64) error {
	hashes, err := tlog.ProveRecord(head.Size, index, m.tree)
	if err != nil {
		return err
	}
	label := fmt.Sprintf("entry %d of %d", index, head.Size)
	leaf := tlog.RecordHash(m.entries[index])
	right := Inclusion{Claim{label, true}, leaf, index, head.Size, head.Root, hashes}
	m.log.Inclusions = append(m.log.Inclusions, right)
	wrong := func(what string, change func(*Inclusion)) {
		claim := right
		claim.Claim = Claim{label + ", " + what, false}
		claim.Hashes = slices.Clone(hashes)
		change(&claim)
		m.log.Inclusions = append(m.log.Inclusions, claim)
	}
	wrong("other leaf", func(c *Inclusion) { c.LeafHash[0] ^= 1 })
	wrong("other root", func(c *Inclusion) { c.Root[31] ^= 1 })
	wrong("next index", func(c *Inclusion) { c.Index++ })
	wrong("a hash more", func(c *Inclusion) { c.Hashes = append(c.Hashes, leaf) })
	for i := range hashes {
		wrong(fmt.Sprintf("hash %d changed", i), func(c *Inclusion) { c.Hashes[i][7] ^= 0x80 })
	}
	return m.addReceipt(right, head, m.entries[index])
}

func (m *madeLog) addReceipt(right Inclusion, head Head, entry []byte) error {
	// One line of Go's reader holds 64 KiB, and an empty entry has no line at all in ours.
	if len(entry) == 0 || len(entry) > 4096 {
		return nil
	}
	receipt := proof.TLogProof{Index: uint64(right.Index), Checkpoint: head.Note, ExtraData: entry}
	for _, hash := range right.Hashes {
		receipt.Hashes = append(receipt.Hashes, [sha256.Size]byte(hash))
	}
	file := receipt.Marshal()
	m.log.Receipts = append(m.log.Receipts, Receipt{Claim{right.Label, true}, file, entry})
	receipt.Index++
	wrong := [][]byte{receipt.Marshal(), bytes.Replace(file, []byte("tlog-proof@v1"), []byte("tlog-proof@v2"), 1)}
	for i, file := range wrong {
		label := fmt.Sprintf("%s, wrong %d", right.Label, i)
		m.log.Receipts = append(m.log.Receipts, Receipt{Claim{label, false}, file, entry})
	}
	return nil
}

func (m *madeLog) addConsistency(before, head Head) error {
	hashes, err := tlog.ProveTree(head.Size, before.Size, m.tree)
	if err != nil {
		return err
	}
	label := fmt.Sprintf("from %d to %d", before.Size, head.Size)
	right := Consistency{Claim{label, true}, before.Size, before.Root, head.Size, head.Root, hashes}
	m.log.Consistencies = append(m.log.Consistencies, right)
	wrong := func(what string, change func(*Consistency)) {
		claim := right
		claim.Claim = Claim{label + ", " + what, false}
		claim.Hashes = slices.Clone(hashes)
		change(&claim)
		m.log.Consistencies = append(m.log.Consistencies, claim)
	}
	wrong("other old root", func(c *Consistency) { c.RootBefore[0] ^= 1 })
	wrong("other new root", func(c *Consistency) { c.Root[0] ^= 1 })
	wrong("the other way round", func(c *Consistency) { c.SizeBefore, c.Size = c.Size, c.SizeBefore })
	wrong("a hash less", func(c *Consistency) { c.Hashes = c.Hashes[:len(c.Hashes)-1] })
	for i := range hashes {
		wrong(fmt.Sprintf("hash %d changed", i), func(c *Consistency) { c.Hashes[i][31] ^= 1 })
	}
	return nil
}
