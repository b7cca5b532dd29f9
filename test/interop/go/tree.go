package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/api/layout"
	"golang.org/x/mod/sumdb/tlog"
)

// storedTree holds all hashes of a tree as tlog numbers them.
type storedTree []tlog.Hash

func (s storedTree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index < 0 || index >= int64(len(s)) {
			return nil, fmt.Errorf("no stored hash %d", index)
		}
		hashes[i] = s[index]
	}
	return hashes, nil
}

// add appends one entry as number n.
func (s *storedTree) add(n int64, entry []byte) error {
	hashes, err := tlog.StoredHashes(n, entry, *s)
	if err != nil {
		return err
	}
	*s = append(*s, hashes...)
	return nil
}

// tilePath is the C2SP path of a tile of tlog, which numbers alike but spells otherwise.
func tilePath(tile tlog.Tile) string {
	return layout.TilePath(uint64(tile.L), uint64(tile.N), uint8(tile.W%layout.TileWidth))
}

// recompute builds the tree of a log from nothing but its entry bundles and compares root and tiles with what the log
// published. It also gives the number of files that it read.
func recompute(folder string, head tlog.Tree) (storedTree, int, error) {
	var tree storedTree
	files := 0
	for n := int64(0); n < head.N; {
		width := min(layout.EntryBundleWidth, head.N-n)
		path := layout.EntriesPath(uint64(n/layout.EntryBundleWidth), uint8(width%layout.EntryBundleWidth))
		text, err := os.ReadFile(filepath.Join(folder, path))
		if err != nil {
			return nil, files, err
		}
		files++
		var bundle api.EntryBundle
		if err := bundle.UnmarshalText(text); err != nil {
			return nil, files, fmt.Errorf("%s: %w", path, err)
		}
		if int64(len(bundle.Entries)) != width {
			return nil, files, fmt.Errorf("%s: %d entries instead of %d", path, len(bundle.Entries), width)
		}
		for _, entry := range bundle.Entries {
			if err := tree.add(n, entry); err != nil {
				return nil, files, err
			}
			n++
		}
	}
	root, err := tlog.TreeHash(head.N, tree)
	if err != nil || root != head.Hash {
		return nil, files, fmt.Errorf("root %v (%v) instead of %v", root, err, head.Hash)
	}
	for _, tile := range tlog.NewTiles(layout.TileHeight, 0, head.N) {
		expected, err := tlog.ReadTileData(tile, tree)
		if err != nil {
			return nil, files, err
		}
		path := tilePath(tile)
		published, err := os.ReadFile(filepath.Join(folder, path))
		if err != nil {
			return nil, files, err
		}
		files++
		if !bytes.Equal(expected, published) {
			return nil, files, fmt.Errorf("%s is not what the entries give", path)
		}
	}
	return tree, files, nil
}

// tileFiles reads a log's folder as Go's checksum database client reads a server.
type tileFiles string

func (f tileFiles) Height() int { return layout.TileHeight }

func (f tileFiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (f tileFiles) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	read := make([][]byte, len(tiles))
	for i, tile := range tiles {
		text, err := os.ReadFile(filepath.Join(string(f), tilePath(tile)))
		if err != nil {
			return nil, err
		}
		if len(text) != tile.W*tlog.HashSize {
			return nil, fmt.Errorf("%s has %d bytes", tilePath(tile), len(text))
		}
		read[i] = text
	}
	return read, nil
}

// readAsClient proves entries from authenticated tiles only; it gives the number of proofs.
func readAsClient(folder string, head tlog.Tree, tree storedTree) (int, error) {
	count := 0
	for _, index := range []int64{0, head.N / 2, head.N - 1} {
		hashes, err := tlog.ProveRecord(head.N, index, tlog.TileHashReader(head, tileFiles(folder)))
		if err != nil {
			return count, err
		}
		leaf := tree[tlog.StoredHashIndex(0, index)]
		if err := tlog.CheckRecord(hashes, head.N, head.Hash, index, leaf); err != nil {
			return count, err
		}
		count++
	}
	return count, nil
}
