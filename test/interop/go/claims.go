package main

import (
	"encoding/json"
	"os"

	"golang.org/x/mod/sumdb/tlog"
)

// Claims is what one implementation says about its logs. Each claim comes with whether it holds: the wrong ones are
// there to be refused.
type Claims struct {
	Logs []Log `json:"logs"`
}

// Log is a folder in the layout of C2SP tlog-tiles beside the claims file, and what is said about it. TreeHolds is false
// where a file was damaged on purpose.
type Log struct {
	Name          string        `json:"name"`
	Origin        string        `json:"origin"`
	Vkey          string        `json:"vkey"`
	WitnessVkeys  []string      `json:"witnessVkeys"`
	TreeHolds     bool          `json:"treeHolds"`
	Heads         []Head        `json:"heads"`
	Inclusions    []Inclusion   `json:"inclusions"`
	Consistencies []Consistency `json:"consistencies"`
	Receipts      []Receipt     `json:"receipts"`
}

// Claim is the part that every kind of claim has.
type Claim struct {
	Label string `json:"label"`
	Holds bool   `json:"holds"`
}

func (c Claim) stated() Claim { return c }

// Head is a signed checkpoint. It holds if the log signed this size and root, and exactly these witnesses cosigned.
type Head struct {
	Claim
	Note         []byte        `json:"note"`
	Size         int64         `json:"size"`
	Root         tlog.Hash     `json:"root"`
	Cosignatures []Cosignature `json:"cosignatures"`
}

// Cosignature is one witness's; TimeS is in seconds since the Unix epoch.
type Cosignature struct {
	Name  string `json:"name"`
	TimeS int64  `json:"timeS"`
}

// Inclusion says that a leaf stands at an index under a root.
type Inclusion struct {
	Claim
	LeafHash tlog.Hash   `json:"leafHash"`
	Index    int64       `json:"index"`
	Size     int64       `json:"size"`
	Root     tlog.Hash   `json:"root"`
	Hashes   []tlog.Hash `json:"hashes"`
}

// Consistency says that one tree begins with another.
type Consistency struct {
	Claim
	SizeBefore int64       `json:"sizeBefore"`
	RootBefore tlog.Hash   `json:"rootBefore"`
	Size       int64       `json:"size"`
	Root       tlog.Hash   `json:"root"`
	Hashes     []tlog.Hash `json:"hashes"`
}

// Receipt is a file of C2SP tlog-proof with its entry as extra data. It holds if all witnesses cosigned its checkpoint.
type Receipt struct {
	Claim
	File  []byte `json:"file"`
	Entry []byte `json:"entry"`
}

func readClaims(path string) (Claims, error) {
	var claims Claims
	text, err := os.ReadFile(path)
	if err != nil {
		return claims, err
	}
	return claims, json.Unmarshal(text, &claims)
}
