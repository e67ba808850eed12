"""The templates that the suite's utterances are made of. The utterances are synthetic: nobody said them.

Each intent has templates that training sees and others, with other words, that only the evaluation sees.
"""

import random
from typing import NamedTuple


class Intent(NamedTuple):
    """What customers of a shop may want: phrasings for training, and phrasings that are held out."""

    name: str
    training: tuple[str, ...]
    held_out: tuple[str, ...]


SLOTS: dict[str, tuple[str, ...]] = {
    "product": (
        *("running shoes", "headphones", "coffee machine", "winter jacket", "desk lamp", "backpack", "keyboard"),
        *("garden chair", "phone case", "rain coat", "blender", "yoga mat", "office chair", "tent"),
    ),
    "order": ("order {n}", "my order", "order number {n}", "the order from {day}", "parcel {n}", "my package"),
    "day": ("monday", "tuesday", "last week", "yesterday", "friday", "the weekend", "march"),
    "city": ("berlin", "leeds", "lyon", "porto", "dublin", "graz", "utrecht", "bergen"),
    "money": ("{n} euro", "the money", "{n} pounds", "the full amount"),
}

INTENTS = (
    Intent(
        "track_order",
        (
            *("is there any news about {order}", "is {order} on its way yet", "how long does {order} take to get here"),
            *("where is {order}", "has {order} been shipped yet", "when will {order} arrive"),
            *("can you tell me the status of {order}", "track {order}", "{order} has not arrived"),
            *("i am still waiting for {order}", "did you send {order} already"),
        ),
        (
            *(
                "any news about {order}",
                "how long until {order} gets here",
                "i want to know where {order} is right now",
            ),
            *("is {order} on its way", "{order} should have been here on {day}"),
        ),
    ),
    Intent(
        "cancel_order",
        (
            *(
                "i changed my mind, do not send {order}",
                "it was a mistake, undo {order}",
                "is it too late to stop {order}",
            ),
            *("cancel {order}", "i want to cancel {order}", "please stop {order} before it is shipped"),
            *("i ordered by mistake, cancel {order}", "i do not need the {product} any more, cancel it"),
            *("can i still cancel {order}", "undo {order}"),
        ),
        (
            *("i changed my mind about {order}, do not send it", "{order} was a mistake, please undo it"),
            *("is it too late to cancel the {product}", "call off {order}"),
        ),
    ),
    Intent(
        "return_item",
        (
            *("i do not like the {product}, where do i send it", "give the {product} back", "exchange the {product}"),
            *("how do i return the {product}", "i want to send the {product} back", "the {product} does not fit"),
            *("i need a return label for the {product}", "the {product} is too small, can i exchange it"),
            *("return {order}", "what is your return policy"),
        ),
        (
            *(
                "the {product} is not what i expected, i want to give it back",
                "exchange the {product} for a larger one",
            ),
            *("where do i send the {product} if i do not like it", "print a label to return {order}"),
        ),
    ),
    Intent(
        "refund",
        (
            *(
                "pay back {money} for {order}",
                "i was not paid back for the {product}",
                "where is {money} for my return",
            ),
            *("when do i get my money back", "i want a refund for {order}", "refund {money} to my card"),
            *("i returned the {product} and still have no refund", "my refund has not arrived"),
            *("how long does a refund take", "you owe me {money} for the {product}"),
        ),
        (
            *("the {product} went back on {day}, where is {money}", "i have not been paid back for {order}"),
            *("please pay {money} back to my account", "is my refund on its way"),
        ),
    ),
    Intent(
        "change_address",
        (
            *("i live in {city}, use that address", "wrong street on {order}", "correct my house number"),
            *("i want to change my delivery address", "send {order} to another address", "i moved to {city}"),
            *("my new address is in {city}", "the address of {order} is wrong", "update my address"),
            *("can you deliver to {city} instead",),
        ),
        (
            *("i live in {city} now, please use that address", "{order} goes to the wrong street"),
            *("correct the address on {order}", "i typed the wrong house number"),
        ),
    ),
    Intent(
        "payment_problem",
        (
            *("paying does not work", "an error when i enter my card", "{money} left my account twice"),
            *("my card was declined", "the payment for {order} failed", "i was charged twice for {order}"),
            *("i cannot pay with my credit card", "you took {money} twice", "the checkout shows an error"),
            *("why was my payment rejected",),
        ),
        (
            *("paying for the {product} does not work", "{money} left my account two times"),
            *("an error appears when i enter my card", "the bank says the charge was refused"),
        ),
    ),
    Intent(
        "stock",
        (
            *(
                "how many {product} are left",
                "is there another colour of the {product}",
                "will there be more of the {product}",
            ),
            *("is the {product} in stock", "do you have the {product} in blue", "when will the {product} be back"),
            *("the {product} is sold out", "do you sell a {product}", "is the {product} available in {city}"),
            *("tell me when i can buy the {product} again",),
        ),
        (
            *("can i get the {product} in another colour", "how many of the {product} are left"),
            *("will you have more of the {product} by {day}", "is there a {product} in your shop in {city}"),
        ),
    ),
    Intent(
        "opening_hours",
        (
            *("can i visit your shop in {city} on {day}", "how late is the shop open", "hours on {day}"),
            *("when do you open", "are you open on {day}", "what are your opening hours in {city}"),
            *("until when is the shop in {city} open", "is the shop closed on {day}", "what time do you close"),
        ),
        (
            *("can i come by on {day}", "how late can i visit your shop in {city}", "do you close early on {day}"),
            *("hours of the {city} shop",),
        ),
    ),
    Intent(
        "discount",
        (
            *(
                "can i have the {product} for less",
                "my coupon has expired",
                "i forgot my voucher for {order}",
                "any offers",
            ),
            *("my discount code does not work", "do you have a voucher", "how do i use a coupon"),
            *("is there a discount for students", "the code is not accepted", "is the {product} on sale"),
            *("when is your next sale",),
        ),
        (
            *("i forgot to enter my voucher for {order}", "can i get the {product} cheaper"),
            *("the coupon says it has expired", "any offers for the {product}"),
        ),
    ),
    Intent(
        "account",
        (
            *("i need a new password", "i am not able to sign in", "close my account"),
            *("i forgot my password", "i cannot log in", "reset my password", "how do i delete my account"),
            *("change my email address", "my account is locked", "the login page says my password is wrong"),
        ),
        (
            *("let me choose a new password", "i am not able to sign in since {day}"),
            *("close my account please", "use another email for my account"),
        ),
    ),
    Intent(
        "complaint",
        (
            *("the {product} has a scratch", "i am disappointed by {order}", "something was not in the box"),
            *("the {product} arrived broken", "i am very unhappy with the {product}", "this is terrible service"),
            *("the {product} stopped working", "you sent me the wrong {product}", "i want to complain about {order}"),
            *("parts of the {product} are missing",),
        ),
        (
            *("the {product} has a scratch and smells", "half of {order} was not in the box"),
            *("i am disappointed, the {product} broke on {day}", "nobody there cares about customers"),
        ),
    ),
    Intent(
        "human",
        (
            *("get me a real person", "which number do i call", "speak to customer service", "no more robots"),
            *("i want to talk to a person", "connect me to an agent", "give me a human"),
            *("can i speak to someone", "what is your phone number", "call me back"),
        ),
        (
            *("is there anybody i can speak with", "no more robots, get me a real person"),
            *("which number can i call", "transfer me to customer service"),
        ),
    ),
)

_BEFORE = ("", "", "", "hi, ", "hello ", "please help, ", "excuse me, ", "hey ", "good morning, ", "so ")
_AFTER = ("", "", "", "?", " please", " thanks", "!", " asap", ", thank you", " ...")
_TYPO_CHANCE = 0.035


def spoken(template: str, rng: random.Random) -> str:
    """Return one utterance of a template: slots filled, opened and closed as people do, with slips of the keyboard."""
    text = template
    while "{" in text:
        name = text[text.index("{") + 1 : text.index("}")]
        choice = str(rng.randint(10, 99_999)) if name == "n" else rng.choice(SLOTS[name])
        text = text.replace("{" + name + "}", choice, 1)
    return _with_slips(rng.choice(_BEFORE) + text + rng.choice(_AFTER), rng)


def _with_slips(text: str, rng: random.Random) -> str:
    """Leave out, double or swap letters here and there."""
    out, place = list[str](), 0
    while place < len(text):
        here, after = text[place], text[place + 1 : place + 2]
        slip = rng.choice(("omit", "double", "swap")) if here.isalpha() and rng.random() < _TYPO_CHANCE else ""
        out += {"omit": [], "double": [here, here], "swap": [after, here]}.get(slip, [here])
        place += 2 if slip == "swap" else 1
    return "".join(out)
