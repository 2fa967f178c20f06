// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"
)

//go:generate go run ./mktables -out tables

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
	m := make(map[rune]string, 8300)
	for line := range strings.Lines(pinyinTable) {
		syllable, hanzi, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		for _, r := range hanzi {
			m[r] = syllable
		}
	}
	pairs := []rune(traditional)
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i]] = m[pairs[i+1]]
	}
	return m
})

// traditional pairs traditional characters frequent in names with their
// simplified forms, which alone are in the table.
const traditional = "張张陳陈劉刘楊杨黃黄趙赵吳吴孫孙馬马羅罗鄭郑謝谢許许韓韩馮冯鄧邓葉叶蘇苏呂吕蔣蒋賈贾鄒邹陸陆龍龙萬万錢钱" +
	"湯汤嚴严賴赖顧顾龔龚盧卢鍾钟閻阎譚谭韋韦齊齐賀贺莊庄顏颜鄔邬喬乔聶聂關关範范閔闵歐欧陰阴區区樓楼單单" +
	"偉伟華华國国強强軍军麗丽傑杰濤涛鵬鹏飛飞艷艳紅红蘭兰鳳凤雲云榮荣勝胜慶庆東东學学曉晓穎颖靜静潔洁瑩莹賢贤義义" +
	"貴贵進进遠远達达誠诚詩诗語语銘铭錦锦開开陽阳雙双靈灵順顺興兴業业歡欢樂乐書书畫画愛爱憶忆懷怀寶宝寧宁嬌娇夢梦壽寿" +
	"鋒锋剛刚輝辉鴻鸿豐丰維维綱纲紹绍緒绪績绩綺绮練练縈萦聰聪聖圣協协衛卫領领顯显驍骁騰腾鶴鹤鶯莺齡龄儀仪億亿倫伦" +
	"銳锐鑾銮鈞钧鎮镇長长門门閃闪雋隽韻韵頤颐願愿風风驊骅鷹鹰嵐岚嶽岳彥彦復复擇择晉晋暉晖權权沖冲淵渊渙涣澤泽瀾澜"

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
