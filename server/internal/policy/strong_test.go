// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/strength"
)

// hanzi are words that come to mind first, so that a phrase of them is weaker
// than one from any longer list.
var hanzi = strings.Fields(`
	我们 中国 北京 上海 朋友 妈妈 爸爸 老师 学生 学校 电脑 手机 汽车 飞机 火车 苹果 香蕉 西瓜 米饭 面条
	太阳 月亮 星星 天空 大海 高山 河流 森林 花园 草地 春天 夏天 秋天 冬天 下雨 下雪 早上 晚上 今天 明天
	快乐 幸福 健康 平安 美丽 聪明 勇敢 安静 热闹 简单 喜欢 知道 看见 听说 唱歌 跳舞 跑步 游泳 画画 读书
	桌子 椅子 窗户 房间 厨房 城市 农村 街道 商店 医院 红色 蓝色 绿色 黄色 白色 老虎 兔子 大象 熊猫 小鸟`)

// TestPassphrasesAreStrong draws phrases from the word lists that Generate
// draws from, and from common hanzi words: of those with enough words at most
// one in two hundred may be taken for less than 10^10 guesses.
func TestPassphrasesAreStrong(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(11, 12))
	eff, pinyin, _ := policy.WordTables()
	for _, c := range []struct {
		name  string
		words []string
		n     int
	}{{"four English words", eff, 4}, {"five pinyin words", pinyin, 5}, {"four hanzi words", hanzi, 4}} {
		for _, between := range []string{"", " ", "-"} {
			const drawn = 1000
			refused := 0
			for range drawn {
				phrase := make([]string, c.n)
				for i := range phrase {
					phrase[i] = c.words[rng.IntN(len(c.words))]
				}
				if e := strength.Of([]byte(strings.Join(phrase, between)), nil); e.Score < 4 {
					refused++
				}
			}
			if refused > drawn/200 {
				t.Errorf("%s with %q between: %d of %d refused", c.name, between, refused, drawn)
			}
		}
	}
	// The measure sees a word too few.
	refused := 0
	for range 1000 {
		if e := strength.Of([]byte(hanzi[rng.IntN(len(hanzi))]+hanzi[rng.IntN(len(hanzi))]), nil); e.Score < 4 {
			refused++
		}
	}
	if refused < 900 {
		t.Errorf("of two hanzi words only %d in 1000 are refused", refused)
	}
}
