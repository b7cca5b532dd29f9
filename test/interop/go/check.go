package main

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"
)

func check(path string) error {
	claims, err := readClaims(path)
	if err != nil {
		return err
	}
	if len(claims.Logs) == 0 {
		return fmt.Errorf("%s claims nothing", path)
	}
	r := &report{to: os.Stdout}
	for _, log := range claims.Logs {
		if err := checkLog(r, log, filepath.Join(filepath.Dir(path), log.Name)); err != nil {
			return err
		}
	}
	if r.failed > 0 {
		return fmt.Errorf("%d checks failed", r.failed)
	}
	return nil
}

func checkLog(r *report, log Log, folder string) error {
	keys, err := openKeys(log)
	if err != nil {
		return r.add(log.Name+": keys", 1+len(log.WitnessVkeys), err)
	}
	if err := checkTree(r, log, keys, folder); err != nil {
		return err
	}
	judgeHead := func(h Head) error { return keys.judgeHead(h) }
	if err := judgeAll(r, log.Name, "checkpoints", log.Heads, judgeHead); err != nil {
		return err
	}
	if err := judgeAll(r, log.Name, "inclusion proofs", log.Inclusions, judgeInclusion); err != nil {
		return err
	}
	if err := judgeAll(r, log.Name, "consistency proofs", log.Consistencies, judgeConsistency); err != nil {
		return err
	}
	judgeReceipt := func(c Receipt) error { return keys.judgeReceipt(c) }
	return judgeAll(r, log.Name, "receipts", log.Receipts, judgeReceipt)
}

// checkTree reports on the files; what they are held against is the published checkpoint.
func checkTree(r *report, log Log, keys keys, folder string) error {
	text, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
	if err != nil {
		return err
	}
	head, _, err := keys.open(text)
	if err != nil {
		return r.add(log.Name+": published checkpoint", 1, err)
	}
	tree, files, err := recompute(folder, head)
	if !log.TreeHolds {
		if err != nil {
			return r.add(log.Name+": refused", 1, nil)
		}
		return r.add(log.Name+": refused", 1, fmt.Errorf("every tile and the root fit the bundles"))
	}
	if err := r.add(log.Name+": files recomputed from the bundles", files, err); err != nil || tree == nil {
		return err
	}
	count, err := readAsClient(folder, head, tree)
	return r.add(log.Name+": proofs that a Go client makes from the tiles", count, err)
}

// keys are the verifiers of one log and its witnesses.
type keys struct {
	origin    string
	log       note.Verifier
	witnesses []note.Verifier
}
