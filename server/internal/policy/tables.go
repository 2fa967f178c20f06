// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"
)

// The tables are made by mktables from the sources named there and in NOTICE.
var (
	//go:embed tables/pinyin.txt
	pinyinTable string
	//go:embed tables/pinyin-words.txt
	pinyinWordTable string
	//go:embed tables/eff-words.txt
	effWordTable string
)

// pinyinOf gives the reading of a hanzi, without tone and with v for ü, or "".
func pinyinOf(r rune) string { return readings()[r] }

var readings = sync.OnceValue(func() map[rune]string {
	m := make(map[rune]string, 8200)
	for line := range strings.Lines(pinyinTable) {
		syllable, hanzi, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		for _, r := range hanzi {
			m[r] = syllable
		}
	}
	return m
})

// otherReadings are common readings besides the one in the table, those of
// surnames among them.
var otherReadings = map[rune]string{
	'单': "shan", '曾': "zeng", '仇': "qiu", '解': "xie", '查': "zha", '区': "ou", '朴': "piao", '覃': "qin",
	'乐': "yue", '盖': "ge", '种': "chong", '折': "she", '黑': "he", '秘': "bi", '员': "yun", '缪': "miao",
	'召': "shao", '洗': "xian", '繁': "po", '晟': "sheng", '重': "chong", '长': "chang",
	'薄': "bo", '柏': "bo", '翟': "zhai", '贾': "gu", '行': "hang", '都': "du", '大': "dai", '厦': "xia",
	'藏': "zang", '觉': "jiao", '朝': "zhao", '调': "tiao", '传': "zhuan", '会': "kuai", '参': "shen", '盛': "cheng",
	'茜': "xi", '娜': "nuo", '绿': "lu", '还': "huan", '系': "ji", '角': "jue", '校': "jiao",
	'降': "xiang", '落': "la", '宿': "xiu", '石': "dan", '率': "shuai", '血': "xie",
}

// compoundSurnames are the surnames of two characters still common.
var compoundSurnames = map[string][2]string{
	"欧阳": {"ou", "yang"}, "司马": {"si", "ma"}, "上官": {"shang", "guan"}, "诸葛": {"zhu", "ge"},
	"司徒": {"si", "tu"}, "皇甫": {"huang", "fu"}, "尉迟": {"yu", "chi"}, "公孙": {"gong", "sun"},
	"慕容": {"mu", "rong"}, "令狐": {"ling", "hu"}, "长孙": {"zhang", "sun"}, "宇文": {"yu", "wen"},
	"东方": {"dong", "fang"}, "夏侯": {"xia", "hou"}, "端木": {"duan", "mu"}, "百里": {"bai", "li"},
	"南宫": {"nan", "gong"}, "轩辕": {"xuan", "yuan"}, "万俟": {"mo", "qi"}, "澹台": {"tan", "tai"},
	"呼延": {"hu", "yan"}, "闻人": {"wen", "ren"}, "独孤": {"du", "gu"}, "西门": {"xi", "men"},
}

var (
	effWords    = sync.OnceValue(func() []string { return frontDecode(effWordTable) })
	pinyinWords = sync.OnceValue(func() []string { return frontDecode(pinyinWordTable) })
)

// frontDecode reads words written one a line as the number of letters shared
// with the word before, one character in base 36, and the letters after them.
func frontDecode(table string) []string {
	var out []string
	before := ""
	for line := range strings.Lines(table) {
		line = strings.TrimSuffix(line, "\n")
		n, err := strconv.ParseUint(line[:1], 36, 8)
		if err != nil {
			panic("policy: an embedded word table is damaged")
		}
		before = before[:n] + line[1:]
		out = append(out, before)
	}
	return out
}
