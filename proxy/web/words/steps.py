"""What the console says of a domain's steps, and of work that is not waited for."""

from __future__ import annotations

from typing import Final

EN: Final[dict[str, str]] = {
    "console.steps": "The steps of {domain}",
    "console.way": "The way",
    "console.way.accounts": "Import the accounts",
    "console.way.notice": "Tell the users",
    "console.way.dns": "Move DNS",
    "console.way.legacy": "Find the old server, and prove it with one account",
    "console.way.watch": "Let the users log in, and help them",
    "console.way.verify": "Hold everything against the old server",
    "console.way.finish": "Finish",
    "console.way.stage.open": "not yet",
    "console.way.stage.begun": "begun",
    "console.way.stage.done": "done",
    "console.way.stage.wrong": "needs attention",
    "console.way.of": "{count} of {of}",
    "console.task.busy": "This is under way already: wait for its end. Nothing was begun.",
    "console.task.by": "Begun {time} by {name}.",
    "console.task.done_of": "{done} of {count} done",
    "console.task.going": "Under way …",
    "console.task.again": "Look again",
    "console.task.stop": "Stop",
    "console.task.stopped": "It was stopped.",
    "console.task.given_up": "Stopped by an administrator, {time}.",
    "console.task.failed": "It did not work, {time}:",
}

ZH: Final[dict[str, str]] = {
    "console.steps": "{domain} 的各个步骤",
    "console.way": "迁移步骤",
    "console.way.accounts": "导入账号",
    "console.way.notice": "通知用户",
    "console.way.dns": "切换 DNS",
    "console.way.legacy": "找到旧服务器，并用一个账号验证",
    "console.way.watch": "让用户登录，并提供帮助",
    "console.way.verify": "与旧服务器全面核对",
    "console.way.finish": "收尾",
    "console.way.stage.open": "未开始",
    "console.way.stage.begun": "进行中",
    "console.way.stage.done": "已完成",
    "console.way.stage.wrong": "需要处理",
    "console.way.of": "{count} / {of}",
    "console.task.busy": "同样的操作正在进行，请等它结束。没有开始新的操作。",
    "console.task.by": "由 {name} 于 {time} 开始。",
    "console.task.done_of": "已完成 {done} / {count}",
    "console.task.going": "正在进行……",
    "console.task.again": "刷新",
    "console.task.stop": "停止",
    "console.task.stopped": "已停止。",
    "console.task.given_up": "已被管理员停止，{time}。",
    "console.task.failed": "没有成功，{time}：",
}
