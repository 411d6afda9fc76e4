from .ledger import Budget as Budget
from .shared import Budgets as Budgets
from .shared import BudgetSpent as BudgetSpent
