package main

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/tessera/api/layout"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// madeSizes are those of the heads of each log that is made: around the width of a tile, and a second level.
var madeSizes = [][]int64{{1}, {2, 3, 255}, {7, 256}, {255, 256, 257}, {1, 256, 511, 513, 700}}

// madeLog is a log while it grows.
type madeLog struct {
	tree      storedTree
	entries   [][]byte
	signer    note.Signer
	witnesses []note.Signer
	log       Log
}

func makeLogs(folder string) error {
	var claims Claims
	for _, sizes := range madeSizes {
		made, err := makeLog(sizes)
		if err != nil {
			return err
		}
		if err := made.publish(filepath.Join(folder, made.log.Name)); err != nil {
			return err
		}
		claims.Logs = append(claims.Logs, made.log)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "claims.json"), text, 0o644)
}

func makeLog(sizes []int64) (*madeLog, error) {
	last := sizes[len(sizes)-1]
	origin := fmt.Sprintf("go.example/ledger/%d", last)
	skey, vkey, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		return nil, err
	}
	made := &madeLog{log: Log{Name: fmt.Sprintf("go-%d", last), Origin: origin, Vkey: vkey, TreeHolds: true}}
	if made.signer, err = note.NewSigner(skey); err != nil {
		return nil, err
	}
	for _, name := range []string{"go.example/witness/one", "go.example/witness/two"} {
		if err := made.addWitness(name); err != nil {
			return nil, err
		}
	}
	for n := int64(0); n < last; n++ {
		entry := madeEntry(n)
		made.entries = append(made.entries, entry)
		if err := made.tree.add(n, entry); err != nil {
			return nil, err
		}
		if slices.Contains(sizes, n+1) {
			if err := made.addHead(n + 1); err != nil {
				return nil, err
			}
		}
	}
	return made, made.addProofs()
}

// madeEntry is also of the least and of the greatest length that a bundle can hold.
func madeEntry(n int64) []byte {
	switch n {
	case 5:
		return []byte{}
	case 6:
		return bytes.Repeat([]byte{0xff}, 65535)
	default:
		return fmt.Appendf(nil, "entry %d", n)
	}
}

func (m *madeLog) addWitness(name string) error {
	skey, vkey, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return err
	}
	witness, err := fnote.NewSignerForCosignatureV1(skey)
	if err != nil {
		return err
	}
	cosignatureVkey, err := fnote.VKeyToCosignatureV1(vkey)
	if err != nil {
		return err
	}
	m.witnesses = append(m.witnesses, witness)
	m.log.WitnessVkeys = append(m.log.WitnessVkeys, cosignatureVkey)
	return nil
}

// addHead signs the tree as it is, has it cosigned, and adds the signed checkpoint with wrong copies of it.
func (m *madeLog) addHead(size int64) error {
	root, err := tlog.TreeHash(size, m.tree)
	if err != nil {
		return err
	}
	text := string(log.Checkpoint{Origin: m.log.Origin, Size: uint64(size), Hash: root[:]}.Marshal())
	signers := append([]note.Signer{m.signer}, m.witnesses...)
	signed, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		return err
	}
	keys, err := openKeys(m.log)
	if err != nil {
		return err
	}
	_, cosignatures, err := keys.open(signed)
	if err != nil {
		return err
	}
	right := Head{Claim{fmt.Sprintf("checkpoint of %d", size), true}, signed, size, root, cosignatures}
	m.log.Heads = append(m.log.Heads, right)
	for at := 0; at < len(signed); at += 3 {
		// The bits before the padding of base64 say nothing, and Go does not look at them.
		if at+1 < len(signed) && signed[at+1] == '=' {
			continue
		}
		wrong := right
		wrong.Claim = Claim{fmt.Sprintf("checkpoint of %d, byte %d changed", size, at), false}
		wrong.Note = bytes.Clone(signed)
		wrong.Note[at] ^= 1
		m.log.Heads = append(m.log.Heads, wrong)
	}
	return nil
}

// publish writes the folder; a bundle is each entry behind its length in two bytes.
func (m *madeLog) publish(folder string) error {
	size := int64(len(m.entries))
	for _, tile := range tlog.NewTiles(layout.TileHeight, 0, size) {
		text, err := tlog.ReadTileData(tile, m.tree)
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(folder, tilePath(tile)), text); err != nil {
			return err
		}
	}
	index := uint64(0)
	for entries := range slices.Chunk(m.entries, layout.EntryBundleWidth) {
		var bundle []byte
		for _, entry := range entries {
			bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(entry)))
			bundle = append(bundle, entry...)
		}
		path := layout.EntriesPath(index, uint8(len(entries)%layout.EntryBundleWidth))
		if err := writeFile(filepath.Join(folder, path), bundle); err != nil {
			return err
		}
		index++
	}
	return writeFile(filepath.Join(folder, "checkpoint"), m.lastHead().Note)
}

func (m *madeLog) lastHead() Head {
	var last Head
	for _, head := range m.log.Heads {
		if head.Holds {
			last = head
		}
	}
	return last
}

func writeFile(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}
