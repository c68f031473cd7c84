"""What the users' portal says."""

from __future__ import annotations

from typing import Final

EN: Final = {
    "portal.title": "Your mail moves here",
    "portal.login.intro": (
        "Log in once with your old address and your old password. Your old mail is then carried over, with nothing lost "
        "and nothing changed at the old server."
    ),
    "portal.login.name_hint": "The whole address, such as name@{domain}",
    "portal.login.password_hint": "The one of your old mailbox. If the move is over, the one that you have set here.",
    "portal.whole_address": "Write your whole address, such as name@{domain}.",
    "portal.ask": "Who helps you: {contact}",
    "portal.logged_out": "You are logged out. Whatever was begun goes on by itself.",
    "portal.checking": "Asking the old server",
    "portal.checking.do": (
        "Your password for {name} is being checked at the old mail server, which takes longer than usual. This page "
        "looks again by itself. You can also close it and log in later."
    ),
    "portal.no.wrong": "Address or password is wrong",
    "portal.no.wrong.do": (
        "Use the address and the password of your old mailbox, and mind capital letters. If you have just changed the "
        "password at the old server, use the new one."
    ),
    "portal.no.in_use": "Your old mailbox is in use by another program",
    "portal.no.in_use.do": (
        "The old server lets one program in at a time. Close mail programs on your computer and your phone, wait some "
        "minutes, and log in again. Nothing is lost."
    ),
    "portal.no.blocked": "This account needs the administrator",
    "portal.no.blocked.do": "You cannot do anything about it by yourself. Tell the administrator; nothing is lost.",
    "portal.no.down": "The old mail server does not answer",
    "portal.no.down.do": (
        "So your password could not be checked. That is not your fault, and nothing is lost. Try again in some minutes; "
        "if it stays so, tell the administrator."
    ),
    "portal.no.busy": "The old mail server is busy",
    "portal.no.busy.do": "Many are being moved just now. Try again in some minutes; nothing is lost.",
    "portal.no.not_possible": "The old mail server does not let this account in",
    "portal.no.not_possible.do": "That says nothing about your password. Only the administrator can change it: tell them.",
    "portal.no.paused": "The administrator has paused the move",
    "portal.no.paused.do": "Try again later. Your old mail stays where it is, and nothing is lost.",
    "portal.no.too_many": "Too many wrong passwords",
    "portal.no.too_many.do": (
        "So that your account is not locked at the old server, it is not asked for ten minutes. Look up the right "
        "password meanwhile, and check your mail programs: one of them may be sending an old one."
    ),
    "portal.no.held": "Your old mail is still being carried over",
    "portal.no.held.do": "Log in again to see how far it is.",
    "portal.no.broken": "Your mail cannot be stored here at the moment",
    "portal.no.broken.do": "The administrator sees it in the log. Try again later; nothing is lost.",
    "portal.account": "Mailbox {name}",
    "portal.change_password": "Change password",
    "portal.moving": "Your old mail is being carried over",
    "portal.moving.do": (
        "You can close this page: it goes on by itself. Come back whenever you want to see how far it is. Until it is "
        "done, let no mail program fetch mail from the old server."
    ),
    "portal.listing": "The old server is listing your mail",
    "portal.listing.do": "It goes on by itself, even if you close this page.",
    "portal.halted": "The move is interrupted",
    "portal.halted.do": (
        "It goes on by itself where it stopped, as soon as the old server can be reached. What is here already stays "
        "here. You need not do anything; if it stays so, tell the administrator."
    ),
    "portal.paused": "The administrator has paused the move",
    "portal.paused.do": "It goes on where it stopped when the administrator says so. What is here already stays here.",
    "portal.again": "The old server does not take your password any more",
    "portal.again.do": "Log out, and log in again with the password that is right there now. The move then goes on.",
    "portal.waiting": "The move has not begun",
    "portal.waiting.do": "Log out and log in again: then it begins.",
    "portal.blocked": "This account needs the administrator",
    "portal.blocked.do": "What is here already stays here. Tell the administrator.",
    "portal.said.moving": "{percent} per cent of your old mail is here",
    "portal.said.here": "Your old mail is here: {count} message|Your old mail is here: {count} messages",
    "portal.progress": "Progress of the move",
    "portal.messages": "Messages",
    "portal.of": "{done} of {total}",
    "portal.size": "Size",
    "portal.left": "Time left",
    "portal.left.unknown": "being worked out",
    "portal.left.about": "about {time}",
    "portal.here.all": "Your one message is here|All {count} messages are here",
    "portal.here.none": "There was no old mail, and your mailbox is ready",
    "portal.here.some": "{done} of {count} message is here|{done} of {count} messages are here",
    "portal.here.do": "Set up your mail program with the settings below.",
    "portal.here.more": "What still arrives at the old server is fetched from there each time you look for mail here.",
    "portal.missing": ("{count} message could not be carried over|{count} messages could not be carried over"),
    "portal.missing.do": (
        "The old server could not give them out undamaged. They are still there, they are tried again every hour, and "
        "the administrator sees them in the list."
    ),
    "portal.missing.one": "Number {position} of the old mailbox, {size}",
    "portal.missing.rest": "and {count} more|and {count} more",
    "portal.settings": "Settings for your mail program",
    "portal.settings.auto": (
        "Thunderbird and Outlook usually find these by themselves: enter your address and your password there."
    ),
    "portal.settings.user": "User name",
    "portal.settings.password": "Password",
    "portal.settings.password.yours": "your mailbox's password",
    "portal.settings.your_address": "your whole mail address",
    "portal.settings.none": "No mail programs are served at the moment. Ask the administrator.",
    "portal.settings.server": "Server",
    "portal.settings.port": "Port",
    "portal.settings.security": "Encryption",
    "portal.service.imap": "Receiving (IMAP, recommended)",
    "portal.service.pop3": "Receiving (POP3)",
    "portal.service.submission": "Sending (SMTP)",
    "portal.security.tls": "SSL/TLS",
    "portal.security.starttls": "STARTTLS",
    "portal.security.none": "none",
    "portal.settings.more": "All other ways",
    "portal.phone": "On your phone",
    "portal.phone.title": "Mail on this device",
    "portal.phone.scan": "Point your phone's camera at this code. It leads to these settings, without your password.",
    "portal.phone.code": "QR code that leads to {address}",
    "portal.profile": "Profile for iPhone, iPad and Mac",
    "portal.profile.get": "Download the profile",
    "portal.profile.do": (
        "Download it, open the device's settings, choose the downloaded profile, install it, and enter your password "
        "when you are asked."
    ),
    "portal.profile.about": "Sets up your company mailbox in Mail. Your password is asked for and is not in the profile.",
    "portal.to_login": "How far is my old mail? Log in",
    "portal.password.title": "Change password",
    "portal.password.theirs": "Your password is still the old server's",
    "portal.password.theirs.do": (
        "Until the move is over for everyone, the old mail server decides which password is right. Change it there, the "
        "way you always did; then log in here once with the new one. When the move is over, you change it on this page."
    ),
    "portal.password.current": "Current password",
    "portal.password.new": "New password",
    "portal.password.rule": "At least {count} characters. Several words are easier to remember than signs.",
    "portal.password.again": "New password once more",
    "portal.password.change": "Change it",
    "portal.password.changed": "Your password is changed. Enter the new one in your mail programs, too.",
    "portal.password.current_wrong": "This is not your current password.",
    "portal.password.not_now": "That cannot be checked at the moment. Try again in some minutes.",
    "portal.password.short": "It is too short: at least {count} characters.",
    "portal.password.odd": "It is too long, or has characters that cannot be typed everywhere.",
    "portal.password.same": "It is the same as before.",
    "portal.password.name": "It must not be your address.",
    "portal.password.differs": "The two are not the same. Type the new password twice.",
}

ZH: Final = {
    "portal.title": "您的邮箱正在迁移到这里",
    "portal.login.intro": "请用原来的邮箱地址和原来的密码登录一次。旧邮件会随即迁移过来，一封不少，旧服务器上的内容不作任何改动。",
    "portal.login.name_hint": "完整的邮箱地址，例如 name@{domain}",
    "portal.login.password_hint": "原来邮箱的密码。如果迁移已经全部结束，请用您在这里设置的密码。",
    "portal.whole_address": "请输入完整的邮箱地址，例如 name@{domain}。",
    "portal.ask": "如有疑问，请联系：{contact}",
    "portal.logged_out": "您已退出。已经开始的迁移会自动继续。",
    "portal.checking": "正在询问旧服务器",
    "portal.checking.do": "正在旧邮件服务器上核对 {name} 的密码，时间比平时长一些。本页会自动刷新，您也可以先关闭，稍后再登录。",
    "portal.no.wrong": "邮箱地址或密码不正确",
    "portal.no.wrong.do": "请使用原来邮箱的地址和密码，并注意大小写。如果刚在旧服务器上改过密码，请用新密码。",
    "portal.no.in_use": "您的旧邮箱正被其他程序占用",
    "portal.no.in_use.do": "旧服务器同一时间只允许一个程序收信。请关闭电脑和手机上的邮件程序，等几分钟再登录。邮件不会丢失。",
    "portal.no.blocked": "这个账号需要管理员处理",
    "portal.no.blocked.do": "您自己无法解决，请联系管理员。邮件不会丢失。",
    "portal.no.down": "旧邮件服务器没有响应",
    "portal.no.down.do": "因此无法核对您的密码。这不是您的问题，邮件也不会丢失。请过几分钟再试；如果一直这样，请联系管理员。",
    "portal.no.busy": "旧邮件服务器正忙",
    "portal.no.busy.do": "现在有很多邮箱正在迁移。请过几分钟再试，邮件不会丢失。",
    "portal.no.not_possible": "旧邮件服务器不允许这个账号登录",
    "portal.no.not_possible.do": "这与您的密码无关，只有管理员能处理，请联系管理员。",
    "portal.no.paused": "管理员已暂停迁移",
    "portal.no.paused.do": "请稍后再试。旧邮件仍在原处，不会丢失。",
    "portal.no.too_many": "密码输错次数太多",
    "portal.no.too_many.do": (
        "为避免您的账号在旧服务器上被锁定，十分钟内不再向旧服务器核对密码。请趁这段时间确认正确的密码，"
        "并检查您的邮件程序：可能有程序还在用旧密码。"
    ),
    "portal.no.held": "旧邮件仍在迁移",
    "portal.no.held.do": "请再次登录查看进度。",
    "portal.no.broken": "这里暂时无法保存您的邮件",
    "portal.no.broken.do": "管理员可以在日志中看到原因。请稍后再试，邮件不会丢失。",
    "portal.account": "邮箱 {name}",
    "portal.change_password": "修改密码",
    "portal.moving": "正在迁移您的旧邮件",
    "portal.moving.do": "您可以关闭本页，迁移会自动继续，随时可以回来查看进度。迁移完成之前，请不要让邮件程序从旧服务器收信。",
    "portal.listing": "旧服务器正在列出您的邮件",
    "portal.listing.do": "迁移会自动继续，关闭本页也没有关系。",
    "portal.halted": "迁移暂时中断",
    "portal.halted.do": "一旦能连上旧服务器，就会从中断处自动继续。已迁移的邮件不受影响，您不需要做任何操作；如果一直这样，请联系管理员。",
    "portal.paused": "管理员已暂停迁移",
    "portal.paused.do": "管理员恢复后，会从中断处继续。已迁移的邮件不受影响。",
    "portal.again": "旧服务器不再接受您的密码",
    "portal.again.do": "请退出，再用旧服务器上现在正确的密码登录一次，迁移就会继续。",
    "portal.waiting": "迁移还没有开始",
    "portal.waiting.do": "请退出后重新登录，迁移就会开始。",
    "portal.blocked": "这个账号需要管理员处理",
    "portal.blocked.do": "已迁移的邮件不受影响。请联系管理员。",
    "portal.said.moving": "旧邮件已迁移 {percent}%",
    "portal.said.here": "旧邮件已迁移完成，共 {count} 封",
    "portal.progress": "迁移进度",
    "portal.messages": "邮件",
    "portal.of": "{done} / {total}",
    "portal.size": "大小",
    "portal.left": "剩余时间",
    "portal.left.unknown": "正在估算",
    "portal.left.about": "约 {time}",
    "portal.here.all": "全部 {count} 封邮件都在这里了",
    "portal.here.none": "没有旧邮件，您的邮箱已可使用",
    "portal.here.some": "{count} 封邮件中已有 {done} 封在这里",
    "portal.here.do": "请按下面的设置配置您的邮件程序。",
    "portal.here.more": "如果旧服务器上还收到邮件，您每次在这里收信时都会一并取来。",
    "portal.missing": "有 {count} 封邮件未能迁移",
    "portal.missing.do": "旧服务器无法完整给出这些邮件。它们仍在旧服务器上，每小时会自动重试，管理员也能在清单中看到。",
    "portal.missing.one": "旧邮箱中的第 {position} 封，{size}",
    "portal.missing.rest": "另外还有 {count} 封",
    "portal.settings": "邮件程序的设置",
    "portal.settings.auto": "Thunderbird 和 Outlook 通常会自动找到这些设置：只需输入邮箱地址和密码。",
    "portal.settings.user": "用户名",
    "portal.settings.password": "密码",
    "portal.settings.password.yours": "您的邮箱密码",
    "portal.settings.your_address": "您的完整邮箱地址",
    "portal.settings.none": "目前没有开放邮件程序的访问，请联系管理员。",
    "portal.settings.server": "服务器",
    "portal.settings.port": "端口",
    "portal.settings.security": "加密方式",
    "portal.service.imap": "收信（IMAP，推荐）",
    "portal.service.pop3": "收信（POP3）",
    "portal.service.submission": "发信（SMTP）",
    "portal.security.tls": "SSL/TLS",
    "portal.security.starttls": "STARTTLS",
    "portal.security.none": "不加密",
    "portal.settings.more": "其他方式",
    "portal.phone": "在手机上使用",
    "portal.phone.title": "在这台设备上收发邮件",
    "portal.phone.scan": "用手机相机扫描这个二维码，即可打开这些设置。其中不含您的密码。",
    "portal.phone.code": "二维码，指向 {address}",
    "portal.profile": "iPhone、iPad 和 Mac 的描述文件",
    "portal.profile.get": "下载描述文件",
    "portal.profile.do": "下载后打开设备的“设置”，选择已下载的描述文件并安装，按提示输入密码。",
    "portal.profile.about": "在“邮件”中设置您的公司邮箱。安装时会询问密码，描述文件中不含密码。",
    "portal.to_login": "旧邮件迁移到哪一步了？请登录查看",
    "portal.password.title": "修改密码",
    "portal.password.theirs": "您的密码目前仍由旧服务器管理",
    "portal.password.theirs.do": (
        "在所有人的迁移结束之前，密码是否正确由旧邮件服务器决定。请像以前一样在旧服务器上修改，然后用新密码在这里登录一次。"
        "迁移结束之后，就在本页修改。"
    ),
    "portal.password.current": "当前密码",
    "portal.password.new": "新密码",
    "portal.password.rule": "至少 {count} 个字符。几个词连在一起比符号更好记。",
    "portal.password.again": "再次输入新密码",
    "portal.password.change": "修改",
    "portal.password.changed": "密码已修改。请在您的邮件程序中也换成新密码。",
    "portal.password.current_wrong": "当前密码不正确。",
    "portal.password.not_now": "暂时无法核对，请过几分钟再试。",
    "portal.password.short": "太短了：至少 {count} 个字符。",
    "portal.password.odd": "太长了，或者含有不便输入的字符。",
    "portal.password.same": "新密码与原来的相同。",
    "portal.password.name": "不能用邮箱地址作密码。",
    "portal.password.differs": "两次输入不一致，请把新密码输入两遍。",
}
